"""What Mixpanel says on the wire, and what is said to it."""
