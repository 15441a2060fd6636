"""Secret values: resolving, masking and encryption."""

__all__ = ["encryption", "masking", "rekey"]
