"""Queries of runs, their attempts, nodes, events and search tables."""
