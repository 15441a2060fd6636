"""Life cycle of runs: connects the engine, the executors and the database (the only package that uses all three)."""

__all__ = [
    "active_runs",
    "dry_run",
    "evaluation",
    "filter_texts",
    "model",
    "notifications",
    "open_approvals",
    "output",
    "queries",
    "recovery",
    "secrets",
    "server_context",
    "service",
    "store",
    "sub_runs",
    "trace_context",
    "wakeups",
]
