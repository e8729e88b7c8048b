"""The ways in which membership is written to Braze."""
