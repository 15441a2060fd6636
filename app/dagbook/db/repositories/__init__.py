"""Repositories: all queries, as functions of a connection and domain arguments, without business rules."""

__all__ = [
    "accounts",
    "alerts",
    "approvals",
    "audit",
    "changes",
    "dags",
    "definitions",
    "deletion",
    "holds",
    "invariants",
    "logs",
    "queue",
    "retention",
    "revisions",
    "runs",
    "schedules",
    "services",
    "sources",
    "ssh_host_keys",
    "triggers",
]
