"""Braze's cohort import for partners: as we call it, and as we offer it."""
