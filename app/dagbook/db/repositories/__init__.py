"""Repositories: all queries, as functions of a connection and domain arguments, without business rules."""
