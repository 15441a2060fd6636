"""Loading of the JSON Schema that the params of a definition refer to (DAG format 2.9, schema-backed)."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from dagbook.errors import BadRequestError

_MAX_BYTES = 1024 * 1024


def is_url(reference: str) -> bool:
    """Whether a schema has to be fetched."""
    return reference.startswith(("http://", "https://"))


async def read_schema(reference: str, directories: Iterable[str], limit_seconds: float) -> dict[str, Any]:
    """Read a schema from a URL or from the first directory that has it; raises BadRequestError."""
    if is_url(reference):
        data = await _fetch(reference, limit_seconds)
    else:
        data = await asyncio.to_thread(_read_file, reference, tuple(directories))
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadRequestError(f"params.schema: {reference!r} is no JSON Schema: {error}") from error


async def _fetch(url: str, limit_seconds: float) -> bytes:
    try:
        async with httpx.AsyncClient(timeout=limit_seconds) as client:
            response = await client.get(url)
    except httpx.HTTPError as error:
        raise BadRequestError(f"params.schema: {url!r} could not be fetched: {error}") from error
    if response.status_code != httpx.codes.OK:
        raise BadRequestError(f"params.schema: {url!r} answered with status {response.status_code}")
    return response.content[:_MAX_BYTES]


def _read_file(reference: str, directories: tuple[str, ...]) -> bytes:
    tried = [Path(directory, Path(reference).expanduser()) for directory in dict.fromkeys(directories)]
    for path in tried:
        try:
            data = read_regular_file(path, _MAX_BYTES)
        except OSError:
            continue
        if data is not None:
            return data
    looked = ", ".join(map(str, dict.fromkeys(tried)))
    raise BadRequestError(f"params.schema: {reference!r} was not found; looked for {looked}")


def read_regular_file(path: Path, most_bytes: int) -> bytes | None:
    """Read at most ``most_bytes`` of a file; None for a device, a directory or a pipe. Raises OSError."""
    # Without O_NONBLOCK the open of a named pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most_bytes)
    finally:
        os.close(descriptor)
