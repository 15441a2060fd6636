"""``dagbook backfill`` and ``dagbook batch``: each command, in this process, which stores what a server works off."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.app.program import CommandResult

Command = Callable[..., CommandResult]
TODAY = datetime.now(UTC).date()
SINCE, UNTIL = (str(TODAY - timedelta(days=days)) for days in (12, 10))
RANGE = ("--from", SINCE, "--to", UNTIL)


@pytest.fixture
def etl(command: Command, tmp_path: Path) -> Command:
    """A stored DAG, and the program."""
    (tmp_path / "etl.yaml").write_text("schedule: 'CRON_TZ=UTC 0 2 * * *'\nsteps: [{name: a, command: 'true'}]\n")
    assert command("dag", "save", tmp_path / "etl.yaml").status == 0
    return command


def test_a_dry_run_says_what_would_be_done_and_does_nothing(etl: Command) -> None:
    dry = etl("backfill", "etl", *RANGE, "--param", "DAY=%F", "--parallel", "2", "--dry-run")
    assert (dry.status, dry.out.splitlines()) == (
        0,
        [
            "3 slots (CRON_TZ=UTC 0 2 * * *, UTC): 3 missing",
            "would start 3 runs; oldest first, 2 at a time",
        ],
    )
    assert "there is no batch" in etl("batch").out


def test_a_batch_is_made_shown_paused_resumed_and_cancelled(etl: Command) -> None:
    made = etl("backfill", "etl", *RANGE, "--order", "newest", "--reason", "lost")
    assert (made.status, made.out) == (0, "batch 1: start 3 runs; newest first, 1 at a time\n")
    again = etl("backfill", "etl", *RANGE)
    assert again.out.splitlines()[-1] == "would do nothing; batch 1 has 3 of them"
    head, row = etl("batch").out.splitlines()
    assert head.split() == ["ID", "ACTION", "DAG", "STATE", "DONE", "FAILED", "LEFT", "BY"]
    assert row.split()[:7] == ["1", "start", "etl", "open", "0", "0", "3"]
    assert etl("batch", "pause", "1").out == "batch 1 paused: 3 planned\n"
    assert etl("batch", "resume", "1").out == "batch 1 open: 3 planned\n"
    sentence, _, *items = etl("batch", "show", "1").out.splitlines()
    assert sentence == "batch 1 open: 3 planned"
    assert items[0].split() == [f"{UNTIL}T02:00:00Z", "planned"]
    assert etl("batch", "cancel", "1", "--stop-runs").out == "batch 1 cancelled: 3 left out\n"
    assert "has no failed items" in etl("batch", "retry", "1").err
    shown = json.loads(etl("batch", "show", "1", "--json").out)
    assert (shown["batch"]["reason"], len(shown["items"])) == ("lost", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("backfill", "etl", "--from", "2026-03-32", "--to", UNTIL), "from: '2026-03-32' is no day"),
        (("backfill", "etl", *RANGE, "--param", "DAY"), "--param: 'DAY' is no NAME=FORMAT"),
        (("backfill", "etl", *RANGE, "--text", "newest"), "text"),
        (("backfill", "nothing", *RANGE), "there is no DAG named 'nothing'"),
        (("backfill", "etl", *RANGE, "--wait"), "start `dagbook serve`"),
        (("batch", "show", "7"), "there is no batch 7"),
    ],
)
def test_a_mistake_is_a_clean_error(etl: Command, arguments: tuple[str, ...], message: str) -> None:
    failed = etl(*arguments)
    assert failed.status == 1
    assert message in failed.err
    assert "Traceback" not in failed.err
