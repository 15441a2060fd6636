"""What the next server makes of a step that was under way when a server was killed (house design section 7).

A real server begins one run for each case and is killed, the scene of each case is set, and one server takes up all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.process import conftest, invariants, processes
from tests.process.program import Program, node
from tests.process.scene import SPEC, Scene
from tests.process.waiting import wait_for

pytestmark = pytest.mark.always


class Case(NamedTuple):
    """What is found, and what is made of it."""

    found: str
    prepare: Callable[[Scene], None]
    status: str
    error: str = ""
    exit_code: int | None = None
    begun: int = 1
    lives: bool = False  # the step goes on until it is let go


def _stop_and(prepare: Callable[[Scene], None]) -> Callable[[Scene], None]:
    def prepared(scene: Scene) -> None:
        prepare(scene)
        scene.request_stop()

    return prepared


def _restart_and(prepare: Callable[[Scene], None]) -> Callable[[Scene], None]:
    def prepared(scene: Scene) -> None:
        prepare(scene)
        scene.restart_machine()

    return prepared


LOST = "without an exit status"
RESTARTED = "restarted"
CASES = [
    Case("exit-zero", lambda scene: scene.let_end(0), "succeeded"),
    Case("exit-three", lambda scene: scene.let_end(3), "failed", "exit status 3"),
    Case("exit-torn", lambda scene: scene.write_exit(b"0"), "failed", LOST),
    Case("exit-unwritten", lambda scene: scene.write_exit(b"   \n"), "failed", LOST),
    Case("alive", lambda scene: None, "succeeded", lives=True),  # noqa: ARG005  # nothing has to be done
    Case("killed", Scene.kill, "failed", LOST),
    Case("killed-and-stopped", _stop_and(Scene.kill), "aborted"),
    Case("number-given-away", Scene.give_number_away, "failed", LOST),
    Case("number-of-a-thread", Scene.give_number_to_thread, "failed", LOST),
    Case("start-torn", Scene.break_start, "failed", LOST),
    Case("not-begun", Scene.never_begin, "succeeded", lives=True),
    Case("not-begun-and-stopped", _stop_and(Scene.never_begin), "aborted", begun=0),
    Case("claimed", Scene.claim, "succeeded", lives=True),
    Case("not-let-go", Scene.never_let_go, "succeeded", lives=True),
    Case("not-let-go-and-stopped", _stop_and(Scene.never_let_go), "aborted", begun=0),
    Case("about-to-be-let-go", Scene.hold_shim, "succeeded", lives=True),
    Case("exit-zero-before-restart", _restart_and(lambda scene: scene.let_end(0)), "succeeded"),
    Case("killed-before-restart", _restart_and(Scene.kill), "failed", RESTARTED),
    Case("not-begun-before-restart", _restart_and(Scene.never_begin), "failed", RESTARTED, begun=0),
]


class Result(NamedTuple):
    """How a case ended."""

    run: dict[str, Any]
    begun: int
    log: str


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, make_url: Callable[[Path], str]) -> Iterator[dict[str, Result]]:
    """Set all scenes, let one server take them up, and look at what it made of them."""
    directory = tmp_path_factory.mktemp("recovery")
    program = Program(directory / "home", make_url(directory / "home"))
    try:
        yield _recover(program, directory)
    finally:
        conftest.end(program)
    assert invariants.find_violations(program.database_url) == []


def _recover(program: Program, directory: Path) -> dict[str, Result]:
    scenes = _begin_and_crash(program, directory)
    for case in CASES:
        case.prepare(scenes[case.found])
    program.start()
    for scene in scenes.values():
        scene.close_pipe()
    for scene in (scenes[case.found] for case in CASES if case.lives):
        wait_for(f"{scene.run_id} to live", scene.begun)
        scene.release()
    ended = {found: program.api.ended(found) for found in scenes}
    for scene in scenes.values():
        scene.end_thread()
    logs = {found: program.api.log(found, "first") if scene.begun() else "" for found, scene in scenes.items()}
    return {found: Result(run, scenes[found].begun(), logs[found]) for found, run in ended.items()}


def _begin_and_crash(program: Program, directory: Path) -> dict[str, Scene]:
    program.start()
    for case in CASES:
        program.api.start(SPEC.format(directory=directory), run_id=case.found)
    witness = directory / "witness"
    wait_for("all steps", lambda: witness.exists() and len(witness.read_text().splitlines()) == len(CASES))
    program.kill()
    return {case.found: Scene(directory, program.database_url, case.found) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=[case.found for case in CASES])
def test_the_next_server_makes_of_a_step_what_it_finds(case: Case, results: dict[str, Result]) -> None:
    result = results[case.found]
    first = node(result.run, "first")
    assert (first["statusLabel"], result.run["statusLabel"]) == (case.status, case.status)
    assert case.error in first.get("error", "")
    assert result.begun == case.begun


@pytest.mark.parametrize("found", [case.found for case in CASES if case.status == "succeeded"])
def test_the_output_of_a_recovered_step_is_whole(found: str, results: dict[str, Result]) -> None:
    assert results[found].log == "begun\nended"


@pytest.mark.parametrize("case", CASES, ids=[case.found for case in CASES])
def test_what_follows_a_recovered_step_runs_only_after_success(case: Case, results: dict[str, Result]) -> None:
    wanted = "succeeded" if case.status == "succeeded" else "aborted" if case.status == "failed" else "not_started"
    assert node(results[case.found].run, "second")["statusLabel"] == wanted


def test_recovery_leaves_no_process_behind(
    results: dict[str, Result], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert len(results) == len(CASES)
    assert processes.with_argument(f"{tmp_path_factory.getbasetemp()}/recovery") == []
