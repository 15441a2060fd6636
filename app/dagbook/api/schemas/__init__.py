"""Request and response bodies with the contract's field names, one module for each of its tags."""

__all__ = [
    "alerts",
    "batches",
    "common",
    "dags",
    "maintenance",
    "overview",
    "people",
    "queues",
    "run_logs",
    "runs",
    "search",
    "sources",
    "step_details",
    "triggers",
]
