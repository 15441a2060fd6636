"""Queries of users, their groups, sessions and tokens, and of what each may do with DAGs."""

__all__ = [
    "dag_access",
    "groups",
    "principals",
    "sessions",
    "tokens",
    "users",
]
