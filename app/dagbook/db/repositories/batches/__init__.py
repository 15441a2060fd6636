"""Batches and their items."""

__all__ = ["batches", "items", "turns"]
