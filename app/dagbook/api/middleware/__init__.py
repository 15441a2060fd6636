"""ASGI middleware, run for every request before routing."""
