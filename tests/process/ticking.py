"""A server that looks at the clock once, at a minute that it is told, and then drives what it began until killed.

python -m tests.process.ticking HOME DATABASE_URL MINUTE
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

from dagbook.main import open_server
from dagbook.settings import read


async def _tick(home: Path, url: str, minute: str) -> None:
    flags = {"database_url": url, "default_shell": "/bin/sh", "tz": "UTC", "scheduler_enabled": "false"}
    async with open_server(read(flags, {}, home), "server", "http://localhost") as server:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        await server.scheduler.tick(datetime.fromisoformat(minute))
        sys.stdout.write("ticked\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_tick(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
