"""Controllers of batches."""

__all__ = ["batches"]
