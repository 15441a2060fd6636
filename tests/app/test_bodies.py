"""Bodies longer than the server reads, over a real connection: refused early, and nothing of them is kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import psutil
import pytest

from dagbook.db.sqlite.lock_file import DatabaseOwned, acquire
from tests.app.program import CommandLine
from tests.waiting import PATIENCE_SECONDS

PIECE = b" " * (1 << 20)
PIECES = 100
MOST_GROWTH = 40 << 20  # one body at the limit, copies of it, and what a first request loads


class Door:
    """A server of its own process, and how much memory that takes."""

    def __init__(self, address: str, pid: int) -> None:
        self.port = urlsplit(address).port or 0
        self._process = psutil.Process(pid)

    def memory(self) -> int:
        return int(self._process.memory_info().rss)


@pytest.fixture(scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    home = tmp_path_factory.mktemp("home")
    async with CommandLine(home).server() as address:
        with pytest.raises(DatabaseOwned) as found:
            acquire(home / "dagbook.sqlite3", "test")
        yield Door(address, found.value.owner.pid)


async def _send(door: Door, head: str, *, chunked: bool) -> tuple[int, int]:
    """Send a hundred MiB, or as much as the server takes; tells the status and the number of MiB that left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(f"{head}\r\nHost: localhost\r\n\r\n".encode())
    sent = 0
    # A server that has answered may close while we still send, which is an error here and its good right.
    with contextlib.suppress(ConnectionError):
        for sent in range(1, PIECES + 1):  # noqa: B007 - wanted after the loop
            writer.write(b"100000\r\n" + PIECE + b"\r\n" if chunked else PIECE)
            await writer.drain()
            await asyncio.sleep(0)  # while there is room, draining lets nobody read
            if reader._buffer:  # type: ignore[attr-defined]  # the answer is here already
                break
    line = await reader.readline()
    writer.transport.abort()
    return int(line.split()[1]), sent


@pytest.mark.parametrize(
    ("framing", "chunked"), [(f"Content-Length: {PIECES << 20}", False), ("Transfer-Encoding: chunked", True)]
)
@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("POST /api/v2/dags HTTP/1.1", 413),
        ("PUT /api/v2/dags/x/spec HTTP/1.1", 413),
        ("POST /api/v2/dags?remoteNode=nobody HTTP/1.1", 413),  # read first: without authentication only JSON may pass
        ("GET /api/v2/health HTTP/1.1", 200),
        ("POST /nothing HTTP/1.1", 404),
    ],
)
async def test_a_hundred_mebibytes_are_neither_waited_for_nor_kept(
    door: Door, framing: str, chunked: bool, request_line: str, status: int
) -> None:
    before = door.memory()
    async with asyncio.timeout(PATIENCE_SECONDS):
        answered, sent = await _send(door, f"{request_line}\r\n{framing}", chunked=chunked)
    assert answered == status
    assert sent < PIECES
    assert door.memory() - before < MOST_GROWTH
