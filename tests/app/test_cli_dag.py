"""``dagbook dag``: the history of a stored DAG in the terminal."""

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
from tests.app.program import CommandLine, Said

Command = Callable[..., Said]
TEXTS = [f"# {word}\nsteps: [{{name: a, command: echo {word}}}]\n" for word in ("one", "two", "three")]


async def _fill(client: httpx.AsyncClient) -> None:
    assert (await client.post("/dags", json={"name": "etl", "spec": TEXTS[0], "note": "begun"})).status_code == 201
    for text in TEXTS[1:]:
        assert (await client.put("/dags/etl/spec", json={"spec": text})).json() == {"errors": []}


async def _redact_first(client: httpx.AsyncClient) -> None:
    assert (await client.post("/dags/etl/revisions/1/redact")).status_code == 200


async def _fill_one(client: httpx.AsyncClient) -> None:
    assert (await client.post("/dags", json={"name": "one", "spec": TEXTS[0]})).status_code == 201


async def _store(home: Path, fill: Callable[[httpx.AsyncClient], Awaitable[None]] = _fill) -> None:
    settings = read({"tz": "UTC"}, {}, home)
    await upgrade(settings.database_url)
    async with open_offline(settings, "test") as server, client_of(server) as client:
        await fill(client)


@pytest.fixture
def stored(command: Command, tmp_path: Path) -> Command:
    """Store a DAG with three revisions where the command works."""
    asyncio.run(_store(tmp_path))
    return command


def test_the_history_is_a_table_with_the_newest_revision_first(stored: Command) -> None:
    said = stored("dag", "history", "etl")
    head, *rows = said.out.splitlines()
    assert (said.status, head.split()) == (0, ["NUMBER", "SAVED", "AUTHOR", "NOTE"])
    assert [row.split()[0] for row in rows] == ["3", "2", "1"]
    assert rows[-1].endswith("begun")


def test_the_history_can_be_cut(stored: Command) -> None:
    assert [row.split()[0] for row in stored("dag", "history", "etl", "--limit", "2").out.splitlines()[1:]] == [
        "3",
        "2",
    ]


def test_a_text_is_shown_to_the_letter(stored: Command) -> None:
    assert stored("dag", "show", "etl", "1").out == TEXTS[0]


def test_the_newest_text_is_shown_by_default_and_the_extension_is_tolerated(stored: Command) -> None:
    assert stored("dag", "show", "etl.yaml").out == TEXTS[2]


@pytest.mark.parametrize(("numbers", "old", "new"), [((), 2, 3), (("1",), 1, 3), (("1", "2"), 1, 2)])
def test_what_changed_is_shown_up_to_now_by_default(
    stored: Command, numbers: tuple[str, ...], old: int, new: int
) -> None:
    lines = stored("dag", "diff", "etl", *numbers).out.splitlines()
    assert lines[:2] == [f"--- etl (revision {old})", f"+++ etl (revision {new})"]
    assert [line for line in lines if line.startswith("-#")] == [f"-{TEXTS[old - 1].splitlines()[0]}"]


def test_going_back_makes_a_new_revision_with_the_note(stored: Command) -> None:
    said = stored("dag", "restore", "etl", "1", "--note", "three was wrong")
    assert (said.status, "revision 4" in said.out) == (0, True)
    assert stored("dag", "show", "etl").out == TEXTS[0]
    assert stored("dag", "history", "etl").out.splitlines()[1].endswith("three was wrong")


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
        (("restore", "etl"), "NUMBER"),
        (("restore", "etl", "9"), "9"),
        (("restore", "etl", "1", "--note", "x" * 1001), "note"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(stored: Command, arguments: tuple[str, ...], told: str) -> None:
    said = stored("dag", *arguments)
    assert (said.status, said.out, "Traceback" in said.err) == (1, "", False)
    assert told in said.err


def test_a_redacted_text_is_told_of_instead_of_shown(stored: Command, tmp_path: Path) -> None:
    asyncio.run(_store(tmp_path, _redact_first))
    said = stored("dag", "show", "etl", "1")
    assert (said.status, said.out, "redacted" in said.err) == (1, "", True)
    assert "redacted by anonymous" in stored("dag", "history", "etl").out.splitlines()[-1]


def test_a_first_revision_has_nothing_to_be_compared_with(stored: Command, tmp_path: Path) -> None:
    asyncio.run(_store(tmp_path, _fill_one))
    said = stored("dag", "diff", "one")
    assert (said.status, said.out, "one revision" in said.err) == (1, "", True)


async def test_beside_a_server_the_history_is_the_servers(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        await _fill(client)
        assert (await line.run("dag", "restore", "etl", "2")).status == 0
        assert (await client.get("/dags/etl/spec")).json()["spec"] == TEXTS[1]
        assert (await line.run("dag", "show", "etl")).out == TEXTS[1]


def test_what_is_set_for_a_dag_is_printed(stored: Command) -> None:
    said = stored("dag", "settings", "etl")
    assert (said.status, said.out) == (0, "catchup: none (missed starts are skipped)\n")


def test_what_is_set_for_a_dag_is_changed_one_thing_at_a_time(stored: Command) -> None:
    said = stored("dag", "settings", "etl.yaml", "--catchup", "all", "--catchup-window", "6h")
    assert said.out == "catchup: all (at most 1,000, missed at most 6:00:00 ago)\n"
    stored("dag", "settings", "etl", "--catchup", "latest")
    assert stored("dag", "settings", "etl").out == "catchup: latest (at most 1, missed at most 6:00:00 ago)\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("etl", "--catchup-window", "soon"), "--catchup-window: 'soon' is not a duration such as 30m, 6h or 48h"),
        (("etl", "--catchup-window", "1s"), "catchupWindowSec"),
        (("nobody",), "there is no DAG named 'nobody'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line(
    stored: Command, arguments: tuple[str, ...], told: str
) -> None:
    said = stored("dag", "settings", *arguments)
    assert (said.status, said.out, told in said.err) == (1, "", True)


def test_a_stored_dag_is_run_by_its_name(stored: Command) -> None:
    said = stored("start", "etl", "-r", "r1")
    assert (said.status, said.err) == (0, "")
    assert "  three\n" in said.out


def test_a_stored_dag_may_be_run_under_another_name(stored: Command) -> None:
    assert stored("run", "etl.yaml", "-N", "renamed", "-r", "r2").out.startswith("renamed  r2\n")


def test_a_file_goes_before_a_stored_dag_of_its_name(
    stored: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etl").write_text("steps: [{name: a, command: echo file}]\n")
    assert "  file\n" in stored("run", "etl").out


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nosuch", "there is no file and no stored DAG named 'nosuch'"),
        ("no/such", "there is no file 'no/such', and no DAG can have that name"),
        (".", ". is not a file"),
    ],
)
def test_what_is_neither_a_file_nor_stored_is_not_run(command: Command, what: str, told: str) -> None:
    said = command("run", what)
    assert (said.status, said.out, said.err) == (1, "", f"Error: {told}\n")
