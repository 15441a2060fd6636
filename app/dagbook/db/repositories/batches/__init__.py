"""Batches and their items, the starts that they fill in, and the runs that they select."""

__all__ = ["batches", "items", "selection", "starts", "turns"]
