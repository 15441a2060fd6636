"""Controllers of triggers and of their hooks."""

__all__ = ["hooks", "triggers"]
