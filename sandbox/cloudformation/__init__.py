"""The built template: its parameters, resources and functions."""
