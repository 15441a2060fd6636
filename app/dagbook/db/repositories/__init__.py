"""Repositories: all queries, as functions of a connection and domain arguments, without business rules."""

__all__ = [
    "audit",
    "changes",
    "dags",
    "deletion",
    "login_failures",
    "logs",
    "queue",
    "retention",
    "revisions",
    "runs",
    "schedules",
    "services",
    "sessions",
    "ssh_host_keys",
    "tokens",
    "users",
]
