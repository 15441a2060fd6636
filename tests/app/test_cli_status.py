"""``dagbook status``: a run in the terminal, step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.program import Said

Command = Callable[..., Said]

SPEC = """
params: A=1
handlerOn: {exit: {command: 'true'}}
steps: [{name: good, command: 'true'}, {name: bad, command: exit 3}, {name: never, command: 'true'}]
"""


@pytest.fixture
def ran(command: Command, tmp_path: Path) -> Command:
    """Run a DAG that fails where the command works."""
    path = tmp_path / "file.yaml"
    path.write_text(f"name: flow\n{SPEC}")
    assert command("run", path, "-r", "r1").status == 1
    return command


@pytest.mark.parametrize(
    "which", [("flow",), ("flow", "r1"), ("flow", "-r", "r1"), ("file.yaml",), ("./file.yaml", "r1")]
)
def test_a_run_that_failed_is_shown_step_by_step_with_0(
    ran: Command, which: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow").write_text("a file that is no definition, and only called like the DAG")
    said = ran("status", *which)
    assert said.status == 0, said.err
    title, *lines = said.out.splitlines()
    assert title == "flow  r1"
    facts = dict(line.split(maxsplit=1) for line in lines[: lines.index("")])
    assert (facts["status"], facts["params"]) == ("failed", "A=1")
    assert {"started", "finished", "duration"} <= facts.keys()
    steps = [line.split()[:2] for line in lines[lines.index("") + 2 :]]
    assert steps == [["good", "succeeded"], ["bad", "failed"], ["never", "aborted"], ["onExit", "succeeded"]]
    assert "exit status 3" in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nosuch",), "DAG 'nosuch' has no run"),
        (("flow", "r9"), "there is no run 'r9' of DAG 'flow'"),
        (("a b",), "'a b' is not a DAG name; give the name that 'dagbook run' prints"),
    ],
)
def test_a_run_that_is_not_there_is_told_in_a_sentence(command: Command, arguments: tuple[str, ...], told: str) -> None:
    said = command("status", *arguments)
    assert (said.status, said.out, said.err) == (1, "", f"Error: {told}\n")
