"""Rewriting of definitions in the 2.x dialect, with comments, order and layout kept."""

__all__ = ["convert"]
