"""ASGI middleware, run for every request before routing."""

__all__ = [
    "compression",
    "host_check",
    "local_user",
    "node_proxy",
    "remote_nodes",
    "request_context",
    "trusted_proxies",
]
