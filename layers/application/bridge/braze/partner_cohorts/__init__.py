"""Braze's cohort import for partners: as we call it, and as we offer it."""

IDS_PER_CALL = 1000
"""Identifiers of all kinds, over all changes of one call."""
