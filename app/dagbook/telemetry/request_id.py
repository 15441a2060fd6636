"""Which request a task works for."""

from __future__ import annotations

from contextvars import ContextVar

# The number that the answer's X-Request-Id carries; empty outside of requests.
request_id: ContextVar[str] = ContextVar("request_id", default="")
