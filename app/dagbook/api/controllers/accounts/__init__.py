"""Logins, users, their sessions and tokens, groups and grants."""

__all__ = ["access", "auth", "credentials", "users"]
