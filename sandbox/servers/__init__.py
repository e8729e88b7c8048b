"""What the HTTP servers of the sandbox share."""
