"""The HTTP entry point: REST API v2."""
