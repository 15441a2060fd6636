"""Housekeeping: use cases that keep what is stored in order."""
