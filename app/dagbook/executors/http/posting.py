"""Requests of the server's own that carry a message, bounded in time and in what is read of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import MappingProxyType
from typing import NamedTuple

import httpx

from dagbook import __version__, tries
from dagbook.egress.client import EgressClient
from dagbook.egress.rules import Egress
from dagbook.executors.http.errors import explain_cause
from dagbook.telemetry.printable import one_line
from dagbook.tries import Answer

SHOWN = 200  # characters of an answer
_LONGEST_ANSWER = 4 * 1024
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": f"Dagbook/{__version__}"}
_TLS_FIELD = "a certificate that is trusted"


class Request(NamedTuple):
    """What is sent."""

    url: str
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
    method: str = "POST"


class Poster:
    """Sends requests and keeps the connections; no redirect is followed, and no cookie kept."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections; harmless without any."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def post(self, request: Request, mask: Callable[[str], str], limit_seconds: float) -> Answer:
        """Send a request; ``mask`` hides what an answer may repeat and a receipt must not have."""
        url, body, headers, method = request
        if self._client is None:
            jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # a receiver sets nothing
            self._client = EgressClient(self._egress, follow_redirects=False, cookies=jar)
        sent = self._client.stream(method, url, content=body, headers={**_HEADERS, **headers}, timeout=limit_seconds)
        try:
            async with asyncio.timeout(tries.lasting(limit_seconds).total_seconds()), sent as response:
                text = one_line(mask(await _read(response)), SHOWN)
        except TimeoutError:
            return Answer(text=f"no complete answer within {limit_seconds:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return Answer(text=one_line(mask(explain_cause(error, _TLS_FIELD)), SHOWN))
        return tries.of_http(response.status_code, text, response.headers)


async def _read(response: httpx.Response) -> str:
    """Return the start of an answer, and read no more of it."""
    found = bytearray()
    async for part in response.aiter_raw():
        found += part
        if len(found) >= _LONGEST_ANSWER:
            break
    return found[:_LONGEST_ANSWER].decode(errors="replace")
