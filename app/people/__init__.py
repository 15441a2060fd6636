"""Users, logins, personal tokens, and who a request comes from: use cases."""
