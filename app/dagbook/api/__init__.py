"""The HTTP entry point: REST API v2."""

__all__ = [
    "auth",
    "controllers",
    "dependencies",
    "errors",
    "limits",
    "live",
    "middleware",
    "presenters",
    "requests",
    "routes",
    "schemas",
    "services",
]
