"""Starts, stops and restarts runs on schedule."""
