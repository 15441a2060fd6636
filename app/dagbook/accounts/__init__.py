"""Use cases of users, logins, personal tokens and authentication."""
