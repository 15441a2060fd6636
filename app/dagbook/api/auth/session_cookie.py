"""The cookie of a browser's session: its name, where it is valid, and the proof against requests of other sites."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from litestar.datastructures import Cookie

from dagbook.accounts.auth_setup import CALLBACK
from dagbook.api.auth.oidc_flow import Connection
from dagbook.api.middleware.host_check import is_loopback
from dagbook.errors import ForbiddenError
from dagbook.identifiers import API_PATH

PROOF_HEADER = "X-CSRF-Token"
_PORTS = {"http": 80, "https": 443}


def name_of(connection: Connection, base_path: str | None = None) -> str:
    """Return the cookie's name for this request; that of a page does not tell the ``base_path``.

    Cookies are shared by all ports of a host, so the name has the port and the base path. Browsers accept ``__Host-``
    with ``Secure`` only; a host that is reached by plain http is left without both.
    """
    scheme = connection.scope["scheme"]
    try:
        port = urlsplit(f"//{connection.headers.get('host', '')}").port
    except ValueError:
        port = None
    if base_path is None:
        base_path = connection.scope["path"].partition(API_PATH)[0].removesuffix(CALLBACK)
    parts = ["dagbook", str(port or _PORTS.get(scheme, 0)), *quote(base_path.strip("/"), safe="/").split("/")]
    return f"{'__Host-' if _is_secure(connection) else ''}{'~'.join(filter(None, parts))}"


def make(connection: Connection, value: str, expires_at: datetime | None) -> Cookie:
    """Make the cookie of a session; without an end it is deleted."""
    seconds = 0 if expires_at is None else int((expires_at - datetime.now(UTC)).total_seconds())
    return Cookie(
        key=name_of(connection),
        value=value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        secure=_is_secure(connection),
    )


def check_proof(connection: Connection, proof: str) -> None:
    """Raise ForbiddenError if a page of another site may have sent this request with the cookie of a session."""
    given = connection.headers.get(PROOF_HEADER, "")
    if not hmac.compare_digest(given.encode("latin-1"), proof.encode()):
        raise ForbiddenError(
            f"{PROOF_HEADER}: is missing or wrong; send the csrfToken of GET /auth/session with every change"
        )


def _is_secure(connection: Connection) -> bool:
    if connection.scope["scheme"] == "https":
        return True
    host = urlsplit(f"//{connection.headers.get('host', '')}").hostname
    return is_loopback(host or "")
