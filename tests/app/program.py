"""The command line as people use it: in this process where that will do, else in one of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT
from tests.waiting import PATIENCE_SECONDS


class CommandResult(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


class CommandLine:
    """Processes with one home, and one database when it is not the home's own."""

    def __init__(self, home: Path, database_url: str = "", **settings: str) -> None:
        self.home = home
        self.stdin = PIPE  # or the descriptor of a terminal
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DAGBOOK_")}
        self._env = {
            **kept,
            "DAGBOOK_HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "DAGBOOK_DEFAULT_SHELL": "/bin/sh",
            "PYTHONPATH": f"{ROOT}/app:{ROOT}",
        }
        self._env["DAGBOOK_REQUEST_LOG"] = "off"  # nobody reads the pipe of a server, and it would fill up
        self._env.update({f"DAGBOOK_{name.upper()}": text for name, text in settings.items()})
        if database_url:
            self._env["DAGBOOK_DATABASE_URL"] = database_url

    async def begin(self, *arguments: str | Path) -> Process:
        command = (sys.executable, "-m", "dagbook", *map(str, arguments))
        return await asyncio.create_subprocess_exec(
            *command, env=self._env, cwd=self.home, stdin=self.stdin, stdout=PIPE, stderr=PIPE
        )

    async def run(self, *arguments: str | Path, given: str = "") -> CommandResult:
        return await end(await self.begin(*arguments), given)

    @asynccontextmanager
    async def server(self, *options: str | Path) -> AsyncIterator[str]:
        """Serve until the block is left; gives the address."""
        process = await self.begin("serve", "--port", "0", *options)
        assert process.stderr is not None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while b"Dagbook serves " not in (line := await process.stderr.readline()):
                    assert line, "the server ended"
            yield line.decode().partition("Dagbook serves ")[2].split()[0]
        finally:
            process.terminate()
            await end(process)


async def end(process: Process, given: str = "") -> CommandResult:
    """Wait until a command has ended."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await process.communicate(given.encode())
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return CommandResult(process.returncode, out.decode(), err.decode())
