"""The web UI: static files and the pages that load them, one more client of the API."""
