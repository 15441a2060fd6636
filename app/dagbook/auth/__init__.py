"""Passwords, tokens and roles: no HTTP, no rows."""

__all__ = ["audit_context", "passwords", "roles", "throttle", "tokens"]
