"""``dagbook runs``: runs listed in the terminal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dagbook.db.migrations.upgrade import upgrade
from dagbook.settings import read
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.program import Said

Command = Callable[..., Said]


async def _fill(home: Path) -> None:
    url = read({"tz": "UTC"}, {}, home).database_url
    await upgrade(url)
    async with serving(url, home) as server, client_of(server) as client:
        for name in ("good", "good", "bad"):
            end = "true" if name == "good" else "exit 3"
            await Dagbook(client, name).run(f"tags: [{name}]\nsteps: [{{command: '{end}'}}]\n")


@pytest.fixture
def ran(command: Command, tmp_path: Path) -> Command:
    """Run a DAG that succeeds twice, and one that fails, where the command works."""
    asyncio.run(_fill(tmp_path))
    return command


def test_runs_are_a_table_with_the_newest_first(ran: Command) -> None:
    said = ran("runs")
    head, *rows = said.out.splitlines()
    assert (said.status, head.split()) == (0, ["STARTED", "DAG", "RUN", "STATUS", "DURATION"])
    assert [row.split()[1] for row in rows] == ["bad", "good", "good"]
    assert [row.split()[3] for row in rows] == ["failed", "succeeded", "succeeded"]


def test_runs_are_narrowed_and_printed_as_json(ran: Command) -> None:
    found = json.loads(ran("runs", "--tag", "good", "--status", "succeeded", "--limit", "1", "--json").out)
    assert [run["name"] for run in found["dagRuns"]] == ["good"]
    assert json.loads(ran("runs", "bad", "--min-duration", "1h", "--json").out) == {"dagRuns": []}
    assert len(json.loads(ran("runs", "--days", "1", "--error", "exit", "--json").out)["dagRuns"]) == 1


def test_a_filter_that_makes_no_sense_ends_the_command_with_the_servers_words(command: Command) -> None:
    said = command("runs", "--param", "x")
    assert (said.status, said.out) == (1, "")
    assert "param: 'x' is no NAME=value" in said.err
