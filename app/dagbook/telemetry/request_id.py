"""Id of the request that the current task handles."""

from __future__ import annotations

from contextvars import ContextVar

# Value of the response's X-Request-Id header; empty outside of requests.
request_id: ContextVar[str] = ContextVar("request_id", default="")
