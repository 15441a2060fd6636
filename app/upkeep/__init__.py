"""Upkeep of the database: what must hold in it, and what may go from it."""
