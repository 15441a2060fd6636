"""What it costs to watch a run that calls many others, counted between the browser and the server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from playwright.async_api import Browser, expect

from tests.process.conftest import end
from tests.process.program import Program
from tests.web.browser import visiting
from tests.web.conftest import Tell

MOST_BYTES_A_MINUTE = 1_000_000
MOST_ITEMS = 1000  # that a step may have
SPEC = """steps:
{steps}---
name: child
steps: [{{name: work, command: 'true'}}]
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    started = Program(tmp_path_factory.mktemp("traffic") / "home").start()
    try:
        yield started
    finally:
        end(started)


class Line:
    """A line to the server that counts what comes back, and the requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.bytes = 0
        self.requests = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ways = (self._copy(reader, server_writer, back=False), self._copy(server_reader, writer, back=True))
        self._tasks |= {asyncio.create_task(way) for way in ways}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool) -> None:
        try:
            while part := await reader.read(65_536):
                self.bytes += len(part) if back else 0
                self.requests += 0 if back else part.count(b" HTTP/1.1\r\n")
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            pass  # one end closes while the other writes
        finally:
            writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def line_to(program: Program) -> AsyncIterator[tuple[str, Line]]:
    """Open the line; yields the address of the server at its other end."""
    base = program.api.client.base_url
    assert base.port is not None
    line = Line(base.port)
    door = await asyncio.start_server(line.connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}", line
    finally:
        door.close()
        await line.close()


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
async def test_watching_many_sub_runs_is_cheap(browser: Browser, program: Program, count: int, tell: Tell) -> None:
    """What a minute may have, however many end in it."""
    name = f"many{count}"
    steps = ""
    for first in range(0, count, MOST_ITEMS):
        items = ", ".join(map(str, range(first, min(count, first + MOST_ITEMS))))
        steps += f"  - {{name: from{first}, call: child, parallel: {{items: [{items}], maxConcurrent: 10}}}}\n"
    program.api.store(name, SPEC.format(steps=steps))
    async with line_to(program) as (address, line), visiting(browser, address) as visitor:
        started = await asyncio.to_thread(program.api.client.post, f"/dags/{name}/start", json={})
        run_id = started.json()["dagRunId"]
        page = await visitor.open(f"/dag-runs/{name}/{run_id}")
        await expect(page.get_by_role("img", name="Live")).to_be_visible()
        before, asked, begin = line.bytes, line.requests, monotonic()
        await expect(page).to_have_title(re.compile(f"^{name} · succeeded"), timeout=800_000)
        seconds, total = monotonic() - begin, line.bytes - before
        tell(
            f"{count} sub-runs in {seconds:.0f} s: {total / 1000:.0f} kB in {line.requests - asked} responses, "
            f"{before / 1000:.0f} kB for the page"
        )
        assert visitor.complaints == []
    assert total <= MOST_BYTES_A_MINUTE * max(seconds / 60, min(1, count / 2000))
