"""The operator's command: `bridge --help`."""
