"""Output of steps."""

__all__ = ["interleaved_logs", "logs", "merged_logs"]
