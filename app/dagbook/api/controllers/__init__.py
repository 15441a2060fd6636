"""Handlers: a repository for reading, a use case for changing."""

__all__ = [
    "audit",
    "auth",
    "credentials",
    "dag_history",
    "dag_list",
    "dags",
    "events",
    "queue_items",
    "queues",
    "retention",
    "retries",
    "revisions",
    "run_logs",
    "runs",
    "schedules",
    "services",
    "ssh_host_keys",
    "sub_runs",
    "system",
    "users",
]
