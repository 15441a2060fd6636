"""Executors: the execution of one step, without access to the database or the run."""

__all__ = [
    "calls",
    "cancellation",
    "capture",
    "contract",
    "docker",
    "http",
    "in_process",
    "jq",
    "mail",
    "process",
    "registry",
    "shell",
    "sql",
    "ssh",
]
