"""Definitions that come from directories and Git repositories, one way into the database."""

__all__ = ["loop", "places", "service", "signatures", "sync"]
