"""Repositories: all queries, as functions of a connection and domain arguments, without business rules."""

__all__ = [
    "approvals",
    "audit",
    "changes",
    "dag_access",
    "dags",
    "deletion",
    "groups",
    "login_failures",
    "logs",
    "queue",
    "retention",
    "revisions",
    "runs",
    "schedules",
    "services",
    "sessions",
    "sources",
    "ssh_host_keys",
    "tokens",
    "users",
]
