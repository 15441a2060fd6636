"""Offers runs to workers, which claim and start them."""
