"""Runs, their attempts, nodes, events and search tables."""
