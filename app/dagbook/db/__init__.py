"""Rows: the models, how they are reached, and how their tables are made."""
