"""Explanations of failed requests, without their secrets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import TypeVar

import httpx

from dagbook.egress.client import EgressDeniedError
from dagbook.spec.problem import shorten

E = TypeVar("E", bound=BaseException)
_UNSUPPORTED = "it answered with a redirect to something that is not an http or https URL"
_PLAIN = {
    httpx.UnsupportedProtocol: _UNSUPPORTED,
    httpx.InvalidURL: _UNSUPPORTED,
    httpx.ProxyError: "the proxy refused the connection",
    httpx.LocalProtocolError: "the request breaks the rules of HTTP; check its method and headers",
    httpx.RemoteProtocolError: "the connection ended before the answer was complete, or the answer is not HTTP",
    httpx.TimeoutException: "the connection timed out",
    httpx.ReadError: "the connection broke while the answer was read",
    httpx.WriteError: "the connection broke while the request was sent",
}


def explain(error: Exception, host: str) -> str:
    if isinstance(error, httpx.TooManyRedirects):
        return f"http: {host}: more than 10 redirects followed one another"
    return f"http: {host}: {explain_cause(error, 'skipTLSVerify')}"


def explain_cause(error: Exception, unverified: str) -> str:
    """Explain why there is no response; ``unverified`` is the field that switches certificate checks off."""
    if denied := _find(error, EgressDeniedError):
        return str(denied)
    plain = next((text for kind, text in _PLAIN.items() if isinstance(error, kind)), "")
    return _network_reason(error, unverified) or plain or f"the request failed ({type(error).__name__})"


def _network_reason(error: Exception, field: str) -> str:
    """Explain the error of the system or of TLS that caused the client's error."""
    if unverified := _find(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate could not be verified ({shorten(unverified.verify_message)}); "
            f"trust its authority with SSL_CERT_FILE, or set {field}"
        )
    if failed := _find(error, ssl.SSLError):
        return f"TLS failed ({failed.reason or 'the connection ended'}); is it an https address?"
    if _find(error, socket.gaierror) or _find(error, UnicodeError):
        return "the name of the host is not known"
    if _find(error, ConnectionRefusedError):
        return "the connection was refused; does the server run, and is the port right?"
    if isinstance(error, httpx.ConnectError) and (system := _find(error, OSError)):
        return f"no connection could be made ({system.strerror or 'no address answered'})"
    return ""


def _find(error: BaseException, kind: type[E]) -> E | None:
    return next((found for found in _causes(error) if isinstance(found, kind)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and contexts, and the members of groups."""
    seen: set[int] = set()
    left: list[BaseException] = [error]
    while left:
        current = left.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        left += [cause for cause in (current.__cause__, current.__context__) if cause is not None]
        left += current.exceptions if isinstance(current, BaseExceptionGroup) else ()
