"""``dagbook retry``: a run that is over, tried again in the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.program import CommandLine, Said

Command = Callable[..., Said]
SPEC = """
steps:
  - {{name: first, command: echo kept-output}}
  - {{name: second, command: test -e {mark} && echo second-output}}
  - {{name: third, command: echo third-output}}
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Run a definition that fails until the returned file is there."""
    mark, file = tmp_path / "mark", tmp_path / "flow.yaml"
    file.write_text(SPEC.format(mark=mark))
    said = asyncio.run(CommandLine(tmp_path).run("run", file, "--run-id", "r1"))
    assert said.status == 1, said
    return mark


def test_a_retry_shows_what_it_runs_and_not_what_it_keeps(command: Command, mark: Path) -> None:
    mark.touch()
    said = command("retry", "flow", "r1")
    assert said.status == 0, said.err
    assert "second-output" in said.out
    assert "third-output" in said.out
    assert "succeeded" in said.out
    assert "kept-output" not in said.out


def test_without_an_id_the_newest_failed_run_is_retried(command: Command, mark: Path, tmp_path: Path) -> None:
    assert command("run", tmp_path / "flow.yaml", "-r", "newer").status == 1
    mark.touch()
    assert command("run", tmp_path / "flow.yaml", "-r", "newest").status == 0
    said = command("retry", "flow")
    assert (said.status, said.out.splitlines()[0]) == (0, "flow  newer")
    assert command("retry", "flow", "r").out.splitlines()[0] == "flow  r1"
    assert "has no failed run" in command("retry", "flow").err


@pytest.mark.usefixtures("mark")
def test_a_retry_that_fails_ends_with_1(command: Command) -> None:
    said = command("retry", "flow", "r1")
    assert (said.status, "failed" in said.out) == (1, True)


def test_one_step_may_be_retried_alone(command: Command, mark: Path) -> None:
    mark.touch()
    said = command("retry", "flow", "r1", "--step", "first")
    assert "kept-output" in said.out
    assert "second-output" not in said.out
    assert said.status == 1  # the second step has failed before and has not been tried again


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("flow", "nobody"), "nobody"),
        (("flow", "-r", "nobody"), "nobody"),
        (("nobody", "r1"), "nobody"),
        (("flow", "r1", "--step", "nobody"), "nobody"),
        (("unknown",), "DAG 'unknown' has no failed run; give the id of the run to retry"),
        (("fl/ow", "r1"), "fl/ow"),
    ],
)
@pytest.mark.usefixtures("mark")
def test_what_cannot_be_retried_is_told_in_a_sentence(command: Command, arguments: tuple[str, ...], told: str) -> None:
    said = command("retry", *arguments)
    assert (said.status, "Traceback" in said.err) == (1, False)
    assert told in said.err


async def test_beside_a_server_a_retry_goes_through_it(tmp_path: Path) -> None:
    line, mark = CommandLine(tmp_path), tmp_path / "mark"
    (tmp_path / "flow.yaml").write_text(SPEC.format(mark=mark))
    async with line.server():
        assert (await line.run("run", tmp_path / "flow.yaml", "--run-id", "r1")).status == 1
        mark.touch()
        said = await line.run("retry", "flow.yaml", "-r=r1")
    assert (said.status, "second-output" in said.out) == (0, True), said
