"""Use cases of users, logins, personal tokens and authentication."""

__all__ = ["auth_setup", "authentication", "logins", "oidc", "refusal_log", "tokens", "users"]
