"""Life cycle of runs: connects the engine, the executors and the database (the only package that uses all three)."""

__all__ = [
    "dry_run",
    "evaluation",
    "model",
    "output",
    "ports",
    "queries",
    "recovery",
    "secrets",
    "server_context",
    "service",
    "store",
]
