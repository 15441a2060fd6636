"""Where traces of runs are sent to: the address of a receiver of OTLP over HTTP (DAG format 2.17)."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from dagbook.spec.model import Otel

_PATH = "/v1/traces"
_PORT, _PORT_OF_GRPC = 4318, 4317
_EVALUATED = re.compile(r"[$`]")  # its address is known when a trace is sent
_RECEIVER = re.compile(r"((?:[a-z]+://)?)(?:[^/@]*@)?([^/?#]*)", re.IGNORECASE)


def is_traced(otel: Otel) -> bool:
    """Whether the runs of a definition are traced."""
    return otel.enabled and not find_problem(otel)


def find_problem(otel: Otel | None) -> str:
    """Return why no trace can be sent although tracing is enabled, "" otherwise."""
    if otel is None or not otel.enabled or _EVALUATED.search(otel.endpoint):
        return ""
    try:
        read_endpoint(otel)
    except ValueError as error:
        return str(error)
    return ""


def read_endpoint(otel: Otel) -> str:
    """Return the address of the receiver; raises ValueError, which says what to write, for one of gRPC and for none.

    One without a scheme has https, with ``insecure`` http.
    """
    endpoint = otel.endpoint.strip()
    has_scheme = "://" in endpoint
    address = endpoint if has_scheme else f"{'http' if otel.insecure else 'https'}://{endpoint}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit("http://host"), None
    if parts.scheme in ("http", "https") and parts.hostname and parts.path.rstrip("/").endswith(_PATH):
        return address
    raise ValueError(f"Dagbook sends OTLP over HTTP; write {_of_http(parts, port, has_scheme=has_scheme)}")


def name_receiver(endpoint: str) -> str:
    """Return scheme and host of an endpoint as it is written: a path or a user may be a secret."""
    found = _RECEIVER.match(endpoint.strip())
    return "".join(found.groups()) if found else ""


def _of_http(parts: SplitResult, port: int | None, *, has_scheme: bool) -> str:
    """Return the address of the same receiver for OTLP over HTTP."""
    host = parts.hostname or "host"
    scheme = "https" if has_scheme and parts.scheme == "https" else "http"
    if port in (None, _PORT_OF_GRPC):
        port = _PORT if scheme == "http" or port else None
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{_PATH}"
