"""The Kinesis stream between intake and delivery."""
