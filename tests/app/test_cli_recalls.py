"""``dagbook recall`` and ``dagbook bulk``: each command, in this process, which stores what a server works off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.program import CommandResult

Command = Callable[..., CommandResult]


@pytest.fixture
def etl(command: Command, tmp_path: Path) -> Command:
    """The program, and a stored DAG with a run that has failed and one that has succeeded."""
    text = "params: {WHO: ann}\nsteps: [{name: load, command: 'test $WHO = bob'}]\n"
    (tmp_path / "etl.yaml").write_text(text)
    assert command("dag", "save", tmp_path / "etl.yaml").status == 0
    command("run", "etl")
    command("run", "etl", "--", "WHO=bob")
    return command


def test_a_recall_says_what_it_would_do_and_makes_a_batch(etl: Command) -> None:
    dry = etl("recall", "etl", "--revision", "1", "--step", "load", "--reason", "lost a row", "--dry-run")
    assert (dry.status, dry.out.splitlines()) == (
        0,
        ["2 runs: 1 failed, 1 succeeded", "would run 2 again with revision 1; oldest first, 1 at a time"],
    )
    of_param = etl("recall", "--where-param", "WHO=bob", "--reason", "lost a row", "--since", "1d", "--dry-run")
    assert of_param.out.splitlines() == [
        "1 run: 1 succeeded",
        "would run 1 again with the current text; oldest first, 1 at a time",
    ]
    original = ("--text", "original", "--order", "newest", "--parallel", "2", "--yes")
    made = etl("recall", "etl", "--revision", "1..2", "--reason", "lost a row", *original)
    assert made.out == "batch 1: run 2 again with its own text; newest first, 2 at a time\n"
    again = etl("recall", "etl", "--revision", "1", "--reason", "once more", "--dry-run")
    assert again.out.splitlines()[-1] == "would do nothing; batch 1 has 2 of them"
    assert "again" in etl("batch").out


def test_bulk_actions_have_the_filters_of_runs(etl: Command) -> None:
    dry = etl("bulk", "retry", "etl", "--status", "failed", "--since", "00:00", "--dry-run")
    assert dry.out.splitlines() == [
        "1 run: 1 failed",
        "would retry 1 (its text is current); oldest first, 4 at a time",
    ]
    assert etl("bulk", "stop", "--status", "running").out.splitlines() == ["0 runs", "would do nothing"]
    assert etl("bulk", "dequeue", "--trigger", "api").out.splitlines()[-1] == "would do nothing"
    wrong = etl("bulk", "delete", "--days", "1", "--expect", "3")
    assert (wrong.status, "there are 2 items now, not 3" in wrong.err) == (1, True)
    deleted = etl("bulk", "delete", "etl", "--param", "WHO=bob", "--expect", "1", "--reason", "a test")
    assert deleted.out == "batch 1: delete 1 run\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recall", "etl", "--reason", "x"), "give --revision, --secret, --worker or --where-param"),
        (("recall", "etl", "--revision", "1"), "--reason"),
        (("recall", "etl", "--revision", "x", "--reason", "x"), "filter.revision"),
        (("recall", "--worker", "nothing", "--reason", "x"), "there is no server or worker 'nothing'"),
        (("recall", "--revision", "1", "--text", "2", "--reason", "x"), "text: a revision is one of a DAG"),
        (("bulk", "retry"), "give at least one filter"),
        (("bulk", "delete", "etl"), "give at least one filter"),
        (("bulk", "retry", "nothing", "--days", "1"), "there is no DAG named 'nothing'"),
        (("bulk", "burn"), "No such command"),
        (("bulk", "stop", "--days", "1", "--text", "original"), "--text"),
    ],
)
def test_a_mistake_is_a_clean_error(etl: Command, arguments: tuple[str, ...], message: str) -> None:
    failed = etl(*arguments)
    assert failed.status == 1
    assert message in failed.err
    assert "Traceback" not in failed.err
