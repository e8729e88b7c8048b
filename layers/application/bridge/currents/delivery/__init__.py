"""From the stream to Mixpanel."""
