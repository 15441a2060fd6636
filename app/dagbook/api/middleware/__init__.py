"""ASGI middleware, run for every request before routing."""

__all__ = [
    "connections",
    "host_check",
    "local_user",
    "node_proxy",
    "remote_nodes",
    "request_context",
    "single_write",
    "trusted_proxies",
]
