"""Reads a params JSON Schema from a file or a URL, bounded in size and time (DAG format 2.9)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import httpx
import msgspec

from dagbook.egress.client import EgressClient
from dagbook.egress.rules import Egress
from dagbook.errors import BadRequestError
from dagbook.json_values import Json
from dagbook.unix.unix_accounts import AccountError, read_regular_file

_MAX_BYTES = 1024 * 1024
_FETCH_SECONDS = 30.0  # in all, however slowly the server answers


def is_url(reference: str) -> bool:
    """Whether a schema has to be fetched."""
    return reference.startswith(("http://", "https://"))


async def read_schema(reference: str, directories: Iterable[str], egress: Egress, account: str = "") -> dict[str, Json]:
    """Read a schema from a URL, or as an account from the first directory that has it; raises BadRequestError."""
    if is_url(reference):
        data = await _fetch(reference, egress)
    else:
        data = await asyncio.to_thread(_read_file, reference, tuple(directories), account)
    if len(data) > _MAX_BYTES:
        raise BadRequestError(f"params.schema: {reference!r} has more than {_MAX_BYTES // 1024} KiB, the limit here")
    try:
        return msgspec.json.decode(data, type=dict[str, Json])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequestError(f"params.schema: {reference!r} is no JSON Schema: {error}") from error


async def _fetch(url: str, egress: Egress) -> bytes:
    try:
        async with (
            asyncio.timeout(_FETCH_SECONDS),
            EgressClient(egress, timeout=None) as client,
            # Uncompressed, so that a few bytes cannot expand to many here.
            client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response,
        ):
            _check_head(url, response)
            return await _read_body(response)
    except TimeoutError:
        reason = f"it took longer than {_FETCH_SECONDS:g} seconds"
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        reason = str(error) or type(error).__name__
    raise BadRequestError(f"params.schema: {url!r} could not be fetched: {reason}")


def _check_head(url: str, response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise BadRequestError(f"params.schema: {url!r} answered with status {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise BadRequestError(f"params.schema: {url!r} answered with a compressed body that was not requested")


async def _read_body(response: httpx.Response) -> bytes:
    """Read at most one byte more than the limit; leaving the response closes its connection."""
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > _MAX_BYTES:
            break
    return bytes(data[: _MAX_BYTES + 1])


def _read_file(reference: str, directories: tuple[str, ...], account: str) -> bytes:
    tried = [Path(directory, Path(reference).expanduser()) for directory in dict.fromkeys(directories)]
    for path in tried:
        try:
            data = read_regular_file(path, _MAX_BYTES + 1, account)
        except AccountError as error:
            raise BadRequestError(str(error)) from error
        except OSError:
            continue
        if data is not None:
            return data
    looked = ", ".join(map(str, dict.fromkeys(tried)))
    raise BadRequestError(f"params.schema: {reference!r} was not found; looked for {looked}")
