"""Queue → ledger → Braze."""
