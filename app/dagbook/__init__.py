"""Dagbook: a workflow server that keeps everything in a SQL database."""

__version__ = "0.1.0"
