"""Starts, stops and restarts runs on schedule."""

__all__ = ["scheduler", "ticker"]
