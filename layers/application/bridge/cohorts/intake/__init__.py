"""Page → ledger → queue."""
