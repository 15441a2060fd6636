"""Offers runs to workers, which claim and start them."""

__all__ = ["loop", "transport"]
