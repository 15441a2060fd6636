"""``dagbook dag``: the revisions of a stored DAG, its settings, and runs of it in the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from dagbook.db.migrations.upgrade import upgrade
from dagbook.main import open_offline
from dagbook.settings import read
from tests.app.dagbook import client_of
from tests.app.program import CommandResult

Command = Callable[..., CommandResult]
TEXTS = [f"# {word}\nsteps: [{{name: a, command: echo {word}}}]\n" for word in ("one", "two", "three")]


async def _fill(client: httpx.AsyncClient) -> None:
    assert (await client.post("/dags", json={"name": "etl", "spec": TEXTS[0], "note": "begun"})).status_code == 201
    for text in TEXTS[1:]:
        assert (await client.put("/dags/etl/spec", json={"spec": text})).json() == {"errors": []}
    assert (await client.post("/dags", json={"name": "one", "spec": f"{TEXTS[0]}# alone\n"})).status_code == 201


async def _redact_first(client: httpx.AsyncClient) -> None:
    assert (await client.post("/dags/etl/revisions/1/redact")).status_code == 200


async def _store(home: Path, fill: Callable[[httpx.AsyncClient], Awaitable[None]] = _fill) -> None:
    settings = read({"tz": "UTC"}, {}, home)
    await upgrade(settings.database_url)
    async with open_offline(settings, "test") as server, client_of(server) as client:
        await fill(client)


@pytest.fixture
def stored(command: Command, tmp_path: Path) -> Command:
    """Store a DAG with three revisions, and one with one, where the command works."""
    asyncio.run(_store(tmp_path))
    return command


def test_revisions_are_listed_shown_compared_and_restored(stored: Command) -> None:
    head, *rows = stored("dag", "history", "etl").out.splitlines()
    assert head.split() == ["NUMBER", "SAVED", "AUTHOR", "NOTE"]
    assert [row.split()[0] for row in rows] == ["3", "2", "1"]
    assert rows[-1].endswith("begun")
    assert len(stored("dag", "history", "etl", "--limit", "2").out.splitlines()) == 3
    assert stored("dag", "show", "etl", "1").out == TEXTS[0]
    assert stored("dag", "show", "etl.yaml").out == TEXTS[2]
    for numbers, old, new in (((), 2, 3), (("1",), 1, 3), (("1", "2"), 1, 2)):
        lines = stored("dag", "diff", "etl", *numbers).out.splitlines()
        assert lines[:2] == [f"--- etl (revision {old})", f"+++ etl (revision {new})"]
        assert [line for line in lines if line.startswith("-#")] == [f"-{TEXTS[old - 1].splitlines()[0]}"]
    said = stored("dag", "restore", "etl", "1", "--note", "three was wrong")
    assert (said.status, "revision 4" in said.out) == (0, True)
    assert stored("dag", "show", "etl").out == TEXTS[0]
    assert stored("dag", "history", "etl").out.splitlines()[1].endswith("three was wrong")


def test_a_redacted_text_is_told_of_instead_of_shown(stored: Command, tmp_path: Path) -> None:
    asyncio.run(_store(tmp_path, _redact_first))
    said = stored("dag", "show", "etl", "1")
    assert (said.status, said.out, "redacted" in said.err) == (1, "", True)
    assert "redacted by anonymous" in stored("dag", "history", "etl").out.splitlines()[-1]


def test_what_is_set_for_a_dag_is_printed_and_changed_one_thing_at_a_time(stored: Command) -> None:
    assert stored("dag", "settings", "etl").out == "catches up no missed start\n"
    said = stored("dag", "settings", "etl.yaml", "--catchup", "all", "--catchup-window", "6h")
    assert said.out == "catches up all missed starts, the newest 1,000 at most, up to 6 hours late\n"
    stored("dag", "settings", "etl", "--catchup", "latest")
    assert stored("dag", "settings", "etl").out == "catches up the latest missed start, up to 6 hours late\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("history", "nobody"), "nobody"),
        (("history", "a/b"), "a/b"),
        (("history", ".."), ".."),
        (("show", "etl", "9"), "9"),
        (("show", "etl", "0"), "0"),
        (("diff", "etl", "1", "9"), "9"),
        (("diff", "etl", "3", "1", "5"), "5"),
        (("diff", "one"), "the DAG 'one' has one revision, so there is nothing to compare"),
        (("restore", "etl"), "NUMBER"),
        (("restore", "etl", "9"), "9"),
        (("restore", "etl", "1", "--note", "x" * 1001), "note"),
        (("settings", "etl", "--catchup-window", "soon"), "'soon' is not a duration such as 30m, 6h or 48h"),
        (("settings", "etl", "--catchup-window", "1s"), "catchupWindowSec"),
        (("settings", "nobody"), "there is no DAG named 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(stored: Command, arguments: tuple[str, ...], told: str) -> None:
    said = stored("dag", *arguments)
    assert (said.status, said.out, "Traceback" in said.err) == (1, "", False)
    assert told in said.err


def test_a_stored_dag_is_run_by_its_name_or_under_another_unless_a_file_has_it(
    stored: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = stored("start", "etl", "-r", "r1")
    assert (said.status, said.err, "  three\n" in said.out) == (0, "", True)
    assert stored("run", "etl.yaml", "-N", "renamed", "-r", "r2").out.startswith("renamed  r2\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etl").write_text("steps: [{name: a, command: echo file}]\n")
    assert "  file\n" in stored("run", "etl").out


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nosuch", "there is no file and no stored DAG named 'nosuch'"),
        ("nosuch.yaml", "there is no file 'nosuch.yaml', and no stored DAG named 'nosuch'"),
        ("no/such", "there is no file 'no/such', and no DAG can have that name"),
        (".", ". is not a file"),
    ],
)
def test_what_is_neither_a_file_nor_stored_is_not_run(command: Command, what: str, told: str) -> None:
    assert command("run", what) == CommandResult(1, "", f"Error: {told}\n")
