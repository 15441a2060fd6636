"""Output files of steps: spool paths, decoding, cutting into chunks."""

__all__ = [
    "decoding",
    "markdown",
    "output_chunks",
    "output_follower",
    "restored_logs",
    "spool",
    "spool_identity",
    "summaries",
]
