"""Alerts: what rules report becomes messages for channels, which are sent until the receiver has them."""

__all__ = [
    "channels",
    "configured",
    "delivery",
    "kinds",
    "queries",
    "requests",
    "rights",
    "routing",
    "rules",
    "senders",
    "service",
    "watch",
]
