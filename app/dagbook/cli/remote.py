"""Client of a remote server: failures of the connection, and answers that no Dagbook gives, are one sentence."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import certifi
import click
import httpx

from dagbook.cli.output import notice
from dagbook.cli.profiles import RemoteServer, is_loopback
from dagbook.cli.transport import EVENT_STREAM, SAFE_METHODS
from dagbook.identifiers import API_PATH, shorten

_LIMIT = httpx.Timeout(30, connect=10)
_JSON = "application/json"


class RemoteTransport:
    """The place of a database's owner for commands that work with a remote server, which executes all runs."""

    is_server = True
    is_alone = False
    poll_seconds = 0.5

    def __init__(self, address: str) -> None:
        self.address = address

    async def enter(self) -> None:
        """Return no application: this process has none."""


class LoginRequired(click.ClickException):
    """The server requires credentials, or refuses those that were sent."""


class RemoteClient(httpx.AsyncClient):
    """Raises ClickException for what is no answer of Dagbook; other errors are left to the caller."""

    def __init__(self, server: RemoteServer) -> None:
        headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
        super().__init__(
            base_url=f"{server.url}{API_PATH}", headers=headers, timeout=_LIMIT, verify=make_context(server)
        )
        self._server = server

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; see the class for its errors."""
        try:
            response = await super().send(request, **options)
        except httpx.TransportError as error:
            raise click.ClickException(explain(self._server.url, request.method, error)) from error
        if reason := refusal(self._server, response):
            await response.aclose()
            raise (LoginRequired if asks_for_login(response) else click.ClickException)(reason)
        return response


def open_remote(server: RemoteServer) -> RemoteClient:
    """Return the client of a server; a token that is sent without TLS is mentioned."""
    parts = urlsplit(server.url)
    if server.token and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        notice(f"the token is sent to {server.url} without TLS, and can be read on its way; use an https address")
    return RemoteClient(server)


def make_context(server: RemoteServer) -> ssl.SSLContext:
    """Make the TLS context with the authorities of the machine, of certifi and of the profile; raises ClickException.

    Where the variable SSL_CERT_FILE is set, OpenSSL reads that instead of the machine's own.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if server.ca_file:
        try:
            context.load_verify_locations(server.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise click.ClickException(f"{server.ca_file} is not a file of certificates: {error.strerror}") from error
    return context


def asks_for_login(response: httpx.Response) -> bool:
    """Whether an answer asks for credentials, or leads to the login at a provider."""
    location = urlsplit(response.headers["location"]).path if response.is_redirect else ""
    return response.status_code == HTTPStatus.UNAUTHORIZED or location.endswith("-login")


def refusal(server: RemoteServer, response: httpx.Response) -> str:
    """Explain an answer that no command can use, empty for all others."""
    url, status = server.url, response.status_code
    kind = response.headers.get("content-type", "").partition(";")[0]
    login = f"run `dagbook login {url}`, or give "
    if response.is_redirect:
        target = response.headers["location"]
        if asks_for_login(response):
            return f"{url} requires a login; {login}--token"
        return f"{url} redirects to {shorten(target.partition(API_PATH)[0])}; use that address"
    if status == HTTPStatus.UNAUTHORIZED:
        wrong = "refuses the token: it is wrong, expired or revoked" if server.token else "requires a token"
        return f"{url} {wrong}; {login}{'another' if server.token else '--token'}"
    is_empty = status == HTTPStatus.NO_CONTENT or response.headers.get("content-length") == "0"
    if kind == _JSON or (response.is_success and (kind == EVENT_STREAM or is_empty)):
        return ""
    if response.is_server_error:
        return f"{url} answers with status {status}, and not as Dagbook does; is the server behind its proxy running?"
    return f"{url} is not a server with the API of Dagbook (status {status}, {kind or 'no content'}); check the address"


def explain(url: str, method: str, error: BaseException) -> str:
    """Explain why there is no answer, with the next step."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {url} is not trusted: {cause.verify_message}; if it is of your own authority, "
                "name the authority's file in SSL_CERT_FILE, or with --ca-file of `dagbook login`"
            )
        if isinstance(cause, ssl.SSLError):
            return f"{url} does not speak TLS ({cause.reason or cause}); is it an http:// address?"
        if isinstance(cause, socket.gaierror):
            return f"the host of {url} is not known: {cause.strerror}; check the address"
    if isinstance(error, httpx.ConnectTimeout):
        return f"{url} cannot be reached: no connection within {_LIMIT.connect:.0f} s; check address and network"
    if isinstance(error, httpx.ConnectError):
        system = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
        reason = system or str(error)
        return f"{url} cannot be reached: {reason}; check the address, and whether the server is running"
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "ended the connection"
    check = "try again" if method in SAFE_METHODS else "check whether the request was carried out"
    return f"{url} {what} before its answer was complete; {check}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
