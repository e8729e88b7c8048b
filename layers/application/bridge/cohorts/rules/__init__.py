"""The rules of a cohort sync (pure): docs/architecture.md tells the story."""
