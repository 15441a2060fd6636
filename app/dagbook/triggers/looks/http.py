"""A look at an address of HTTP, by a client that connects to no denied destination and follows no redirect."""

from __future__ import annotations

import asyncio
import hashlib
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import msgspec

from dagbook import __version__
from dagbook.egress.client import EgressClient
from dagbook.egress.rules import Egress
from dagbook.executors.http.errors import explain_cause
from dagbook.json_values import Json
from dagbook.triggers.looks.comparison import Entry, Listing
from dagbook.triggers.looks.files import LookError
from dagbook.triggers.values import QUICK_BYTES, Message, Pointer, UnusableError

_LIMIT_SECONDS = 30.0
_LONGEST_TYPE, _LONGEST_ETAG = 200, 1_000
_MOST_KEPT = 2_000
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"Dagbook/{__version__}"}
_TLS_FIELD = "a certificate that is trusted"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address, where its JSON says that it has changed, a token for it, and how many bytes are read at most."""

    url: str
    changed: str
    token: str
    most_bytes: int


class HttpLooker:
    """Gets addresses; one for a process, since it keeps its connections and what the last answers were."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._client: httpx.AsyncClient | None = None
        self._last: dict[Address, Entry] = {}  # without bodies

    async def close(self) -> None:
        """Close the connections; harmless without any."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def look(self, address: Address, known: str) -> Listing:
        """Return what an address has now; raises LookError.

        What the server calls unchanged is not read again if it has the fingerprint that is ``known``.
        """
        if self._client is None:
            jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            self._client = EgressClient(self._egress, follow_redirects=False, timeout=_LIMIT_SECONDS, cookies=jar)
        last = self._last.get(address)
        last = last if last is not None and last.fingerprint == known else None
        headers = _HEADERS | _conditions(last) | ({"Authorization": f"Bearer {address.token}"} if address.token else {})
        try:
            async with (
                asyncio.timeout(_LIMIT_SECONDS),
                self._client.stream("GET", address.url, headers=headers) as response,
            ):
                if response.status_code == httpx.codes.NOT_MODIFIED and last is not None:
                    return Listing(entries={address.url: last})
                body = await _read(response, address.most_bytes)
        except TimeoutError as error:
            raise LookError(f"no complete answer within {_LIMIT_SECONDS:.0f} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise LookError(explain_cause(error, _TLS_FIELD)) from error
        if len(body) > QUICK_BYTES:
            entry = await asyncio.to_thread(_make_entry, address, response.headers, body)
        else:
            entry = _make_entry(address, response.headers, body)
        if len(self._last) >= _MOST_KEPT:
            self._last.clear()
        self._last[address] = msgspec.structs.replace(entry, body=None)
        return Listing(entries={address.url: entry})


async def _read(response: httpx.Response, most: int) -> bytes:
    if response.has_redirect_location:
        raise LookError(f"it answered {response.status_code}; no redirect is followed, write the address that it names")
    if response.status_code != httpx.codes.OK:
        raise LookError(f"it answered {response.status_code}")
    found = bytearray()
    async for part in response.aiter_raw():
        found += part
        if len(found) > most:
            raise LookError(f"it has more than {most} bytes (maxBytes)")
    return bytes(found)


def _conditions(last: Entry | None) -> dict[str, str]:
    if last is None:
        return {}
    names = {"etag": "If-None-Match", "lastModified": "If-Modified-Since"}
    return {header: str(last.item[name]) for name, header in names.items() if last.item.get(name)}


def _make_entry(address: Address, headers: httpx.Headers, body: bytes) -> Entry:
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    content_type = headers.get("content-type", "")[:_LONGEST_TYPE]
    if address.changed:
        sign = _find(address.changed, Message(body=body, content_type=content_type))
    else:
        sign = (etag or modified).encode() or body
    item: dict[str, Json] = {"url": address.url}
    item |= {
        name: value for name, value in (("etag", etag), ("lastModified", modified)) if 0 < len(value) <= _LONGEST_ETAG
    }
    digest = hashlib.sha256(sign).hexdigest()
    return Entry(path=address.url, fingerprint=digest, item=item, body=body, content_type=content_type)


def _find(pointer: str, message: Message) -> bytes:
    """Return what a pointer leads to; raises LookError."""
    try:
        found = message.find(Pointer.read(pointer, "changed"))
    except UnusableError as error:
        raise LookError(str(error)) from error
    if found is msgspec.UNSET:
        raise LookError(f"its body has nothing at {pointer}")
    return msgspec.json.encode(found)
