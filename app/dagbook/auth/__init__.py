"""Passwords, tokens and roles: no HTTP, no rows."""

__all__ = ["audit_context", "claims", "networks", "passwords", "roles", "tokens"]
