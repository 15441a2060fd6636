"""Use cases of users, groups and grants, logins, sessions, personal tokens and authentication."""

__all__ = [
    "access",
    "auth_setup",
    "authentication",
    "logins",
    "oidc",
    "provider_accounts",
    "refusal_log",
    "rights",
    "sessions",
    "tokens",
    "users",
]
