"""Event source mappings and notifications: what invokes a function."""
