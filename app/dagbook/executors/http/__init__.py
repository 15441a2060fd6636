"""The http executor."""
