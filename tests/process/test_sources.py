"""A server that is killed in a sync: the next one completes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.process.program import Program
from tests.process.waiting import wait_for

FILES = 400


def _text(number: int, word: str) -> str:
    return f"steps:\n  - name: a\n    command: echo {number} {word}\n"


def _write(folder: Path, word: str) -> None:
    for number in range(FILES):
        (folder / f"d{number}.yaml").write_text(_text(number, word))


def _get(program: Program, path: str, **query: Any) -> dict[str, Any]:
    answer = program.api.client.get(path, params=query)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_sync_that_is_killed_is_completed_by_the_next_server(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    _write(folder, "one")
    program.api.client.post("/sources", json={"name": "team", "place": str(folder)})

    def is_between() -> bool:
        return 0 < int(_get(program, "/dags", perPage=1)["pagination"]["totalRecords"]) < FILES

    wait_for("some of the files", is_between)
    program.kill()
    (folder / "d7.yaml").unlink()
    (folder / "d8.yaml").write_text(_text(8, "two"))
    program.start()
    stored = _get(program, "/dags", perPage=1)["pagination"]["totalRecords"]
    assert stored > 0

    def is_complete() -> bool:
        found = _get(program, "/sources/team", perPage=1)
        return "syncedAt" in found and "syncing" not in found

    wait_for("a complete sync", is_complete)
    found = _get(program, "/sources/team", perPage=1)
    assert (found["files"], found["broken"]) == (FILES - 1, 0)
    for number in range(FILES):
        if number != 7:
            assert _get(program, f"/dags/d{number}/spec")["spec"] == _text(number, "two" if number == 8 else "one")
            assert _get(program, f"/dags/d{number}/revisions")["pagination"]["totalRecords"] <= 2
