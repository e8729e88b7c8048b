"""Braze → stream."""
