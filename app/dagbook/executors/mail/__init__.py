"""The mail executor."""
