"""The ssh executor."""
