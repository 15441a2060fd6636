"""The copy of the audit, and servers that are killed while they write it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process import conftest, invariants
from tests.process.program import Program

_KILLS, _SAVES = 2, 12
_SPEC = "steps: [{name: a, command: 'true'}]\n"


@pytest.fixture
def copied(tmp_path: Path, make_url: Callable[[Path], str]) -> Iterator[tuple[Program, Path]]:
    home, path = tmp_path / "home", tmp_path / "audit.copy"
    server = Program(home, make_url(home), settings={"audit_copy": str(path)})
    try:
        yield server, path
    finally:
        conftest.end(server)
    assert invariants.find_violations(server.database_url) == []


def test_what_was_committed_before_a_kill_is_in_the_copy_after_the_next_orderly_stop(
    copied: tuple[Program, Path],
) -> None:
    server, path = copied
    for kill in range(_KILLS):
        server.start()
        for number in range(_SAVES):
            server.api.store(f"dag{kill}-{number}", _SPEC)
        server.kill()
    server.start()
    entries = server.api.client.get("/audit", params={"limit": 1000}).raise_for_status().json()["entries"]
    assert len(entries) >= _KILLS * _SAVES
    server.terminate()
    copies = [json.loads(line).get("entry") for line in path.read_text().splitlines()]
    found = [(entry["id"], entry["action"], entry["name"]) for entry in copies if entry]
    assert found == [(entry["id"], entry["action"], entry["object"]) for entry in reversed(entries)]
