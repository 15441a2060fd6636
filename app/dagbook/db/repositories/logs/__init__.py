"""Output of steps."""
