"""What Braze says on the wire, and what is said to it."""
