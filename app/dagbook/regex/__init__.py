"""Regular expressions of users, matched in a subprocess with a time limit."""
