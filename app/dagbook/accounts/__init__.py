"""Use cases of users, logins, sessions, personal tokens and authentication."""

__all__ = [
    "auth_setup",
    "authentication",
    "logins",
    "oidc",
    "provider_accounts",
    "refusal_log",
    "sessions",
    "tokens",
    "users",
]
