"""The HTTP door: REST API v2."""
