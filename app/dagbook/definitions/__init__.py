"""Use cases of stored definitions."""
