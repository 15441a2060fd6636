"""Converters from rows and definitions to response structs. Pure."""

__all__ = [
    "alerts",
    "approvals",
    "dags",
    "doctor",
    "fields",
    "history",
    "outputs",
    "overview",
    "people",
    "queues",
    "run_events",
    "runs",
    "sources",
    "step_details",
    "triggers",
]
