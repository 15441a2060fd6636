"""``dagbook secret rekey`` on a server that is killed ten times: nothing is lost, and the old key can go."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from dagbook.db.database import Database
from dagbook.db.models import Source
from dagbook.runs.secrets.encryption import Encrypter
from tests.process import store
from tests.process.program import Program
from tests.process.waiting import wait_for

OLD, NEW = "o" * 32, "n" * 32
MANY, RUNS = 4_000, 5  # values are replaced by 200 in a transaction
SPEC = """
secrets: [{{name: SEC, provider: file, key: {file}}}]
maxActiveRuns: 100
steps:
  - {{name: a, command: echo "$SEC", output: OUT}}
  - {{name: b, command: test "$OUT" = hunter2-hunter2 && exit 3, depends: a}}
"""


def _server(home: Path, url: str, key: str, *previous: str) -> Program:
    return Program(home, url, settings={"secret_key": key, "secret_keys_previous": ",".join(previous)})


async def _fill(database: Database) -> None:
    """Add as many encrypted values as a server of years has."""
    encrypter = Encrypter(OLD, Path("/nonexistent"))
    base = {"kind": "directory", "place": "/x", "path": "", "writable": False, "adopt": False, "configured": False}
    rows = [
        base
        | {"name": f"s{at}", "created_at": datetime.now(UTC), "hook_secret": encrypter.encrypt(b"x", f"source s{at}")}
        for at in range(MANY)
    ]
    await database.write(lambda connection: connection.execute(insert(Source), rows))


def _counts(program: Program) -> dict[str, int]:
    report: dict[str, Any] = program.api.client.get("/doctor").json()
    return {use["key"]: use["values"] for use in report["keys"]}


@pytest.mark.full
def test_ten_kills_lose_nothing_and_then_the_old_key_can_go(tmp_path: Path, make_url: Callable[[Path], str]) -> None:
    home, file = tmp_path / "home", tmp_path / "secret"
    url = make_url(home)
    file.write_text("hunter2-hunter2")
    old_name, new_name = (Encrypter(key, home).name for key in (OLD, NEW))
    program = _server(home, url, OLD).start()
    runs = [program.api.start(SPEC.format(file=file)) for _ in range(RUNS)]
    assert [program.api.ended(run)["nodes"][1]["statusLabel"] for run in runs] == ["failed"] * RUNS
    program.kill()
    store.with_database(url, _fill)
    program = _server(home, url, NEW, OLD)
    try:
        _rekey_and_kill(program, new_name)
        program.start()
        program.command("secret", "rekey")
        assert _counts(program)[old_name] == 0
        assert f"values encrypted with key {old_name}: 0\n" in program.command("doctor", "--quick")
        program.kill()
        program = _server(home, url, NEW).start()
        for run in runs:
            assert program.api.client.post(f"/dag-runs/flow/{run}/retry", json={"dagRunId": run}).is_success
            attempt = wait_for("the retry", partial(_second, program, run))
            assert [node["statusLabel"] for node in attempt["nodes"]] == ["succeeded", "failed"]
            assert "exit code 3" in str(attempt) or "exit status 3" in str(attempt)
    finally:
        program.clear()


def _rekey_and_kill(program: Program, new_name: str) -> None:
    seen = []
    for number in range(10):
        program.start()
        seen.append(_counts(program).get(new_name, 0))

        def ask(client: httpx.Client = program.api.client) -> None:
            with contextlib.suppress(httpx.HTTPError):
                client.post("/secrets/rekey")

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(0.03 * (number % 4 + 1))
        program.crash()
        thread.join()
    assert seen == sorted(seen)  # what was replaced stays


def _second(program: Program, run: str) -> dict[str, Any] | None:
    found = program.api.run(run)
    return found if found["statusLabel"] == "failed" else None
