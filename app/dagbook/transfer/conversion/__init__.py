"""Recorded runs, turned into rows. Pure."""

__all__ = ["converter", "texts"]
