"""The HTTP entry point: REST API v2."""

__all__ = [
    "auth",
    "controllers",
    "errors",
    "live",
    "middleware",
    "presenters",
    "providers",
    "requests",
    "services",
    "shares",
]
