"""Looks for what no event tells: what is missing, lasts too long or does not work."""

__all__ = ["loop"]
