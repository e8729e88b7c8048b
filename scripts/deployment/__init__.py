"""`make deploy`: ask what is not known, check it, and run SAM without a question."""
