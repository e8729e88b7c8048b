"""The operator's command: `python -m cli check`, `status`, `replay`."""
