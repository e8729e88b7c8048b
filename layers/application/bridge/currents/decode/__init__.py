"""From the bytes of a stream record to events."""
