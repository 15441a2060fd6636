"""Hands runs to workers and starts them there."""
