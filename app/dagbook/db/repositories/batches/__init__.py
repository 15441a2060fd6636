"""Batches and their items, and the starts that they fill in."""

__all__ = ["batches", "items", "starts", "turns"]
