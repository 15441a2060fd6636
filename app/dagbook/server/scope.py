"""Keys that the application sets in the scope of a request, for the server."""

from __future__ import annotations

ADMITTED = "caller_admitted"  # when the body is read for a caller who may make the request
