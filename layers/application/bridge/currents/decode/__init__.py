"""The bytes of a stream record → events."""
