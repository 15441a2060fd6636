"""Secret values: resolving, masking and encryption."""
