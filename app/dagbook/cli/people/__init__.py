"""Commands of users: accounts, tokens, rights and logins."""
