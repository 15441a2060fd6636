"""Definitions are created, saved and deleted here: use cases, one write each."""
