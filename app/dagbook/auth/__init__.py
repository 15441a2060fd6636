"""Passwords, tokens and roles: no HTTP, no rows."""
