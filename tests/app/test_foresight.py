"""A step that follows a short one is prepared while that runs, and nobody can tell but by the time it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.executors.blanks import is_blank
from app.executors.process import Waiting
from app.runs import execution, foresight, work
from app.runs.foresight import Foresight
from app.runs.node import NodeWork
from app.runs.spool_identity import is_identity
from tests.app.dagbook import Dagbook, Ended, client_of, serving
from tests.app.shims import shim_of
from tests.waiting import come_true, until_gone, until_written


@pytest.fixture
async def alone(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[Dagbook]:
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        yield Dagbook(client, name)


@pytest.fixture(autouse=True)
def foreseen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hear of what is prepared, which waits for as long as a test takes."""
    heard: list[str] = []
    begin = Foresight.begin

    def hear(self: Foresight, node: NodeWork, *rest: object) -> None:
        heard.append(node.step.name)
        begin(self, node, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Foresight, "begin", hear)
    monkeypatch.setattr(foresight, "_MOST_SECONDS", 300.0)
    monkeypatch.setattr(work, "_BRISK_SECONDS", 300.0)
    return heard


@pytest.fixture
def shims(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Tell the processes that were made for steps."""
    made: dict[str, list[int]] = {}
    prepare = execution.prepare

    def note(node: NodeWork, *rest: Any) -> Waiting:
        waiting = prepare(node, *rest)
        made.setdefault(node.step.name, []).append(waiting._popen.pid)
        return waiting

    monkeypatch.setattr(execution, "prepare", note)
    return made


class Chain:
    """Steps a, b and c: the first is over in no time, the second waits for a word, the third is looked at."""

    def __init__(self, dagbook: Dagbook, directory: Path) -> None:
        self._dagbook = dagbook
        self._directory = directory
        self._run_id = ""
        self.third = f"c{dagbook.name}"

    async def begin(self, third: str, *, first: str = "", second: str = "", fields: str = "") -> None:
        waits = f"echo ready; while [ ! -e {self._directory}/go ]; do sleep 0.02; done"
        texts = [first or "true", f"{waits}; {second or 'true'}", third]
        names = ["a", "b", self.third]
        steps = [f"  - name: {name}\n    command: |\n      {text}" for name, text in zip(names, texts, strict=True)]
        self._run_id = await self._dagbook.start("\n".join(["type: chain", "steps:", *steps, fields]))
        await self._dagbook.running(self._run_id, "b", "ready")

    async def stop(self) -> Ended:
        return await self._dagbook.stop(self._run_id)

    async def end(self) -> Ended:
        (self._directory / "go").touch()
        return await self._dagbook.finished(self._run_id)


@pytest.fixture
def chain(alone: Dagbook, tmp_path: Path) -> Chain:
    return Chain(alone, tmp_path)


async def until_cleared(directory: Path) -> None:
    """Wait until nothing of the run is left, which is seen to after its end was stored."""

    async def look() -> bool:
        found = (directory / "home" / "spool").iterdir()
        return all(is_blank(path) or is_identity(path) for path in found)

    await come_true(look)


async def test_what_was_prepared_while_the_step_before_ran_is_what_runs(chain: Chain, tmp_path: Path) -> None:
    await chain.begin(f"echo $PPID >{tmp_path}/ran")
    shim = await shim_of(chain.third)
    assert not (tmp_path / "ran").exists()
    assert (await chain.end()).statuses == ["succeeded"] * 3
    assert (tmp_path / "ran").read_text() == f"{shim}\n"
    await until_cleared(tmp_path)


async def test_what_follows_a_long_step_is_not_prepared(
    chain: Chain, foreseen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_BRISK_SECONDS", 0.0)
    await chain.begin("true")
    assert (await chain.end()).statuses == ["succeeded"] * 3
    assert foreseen == []


async def test_what_has_waited_for_a_while_is_dropped_and_made_again_when_its_turn_comes(
    chain: Chain, shims: dict[str, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foresight, "_MOST_SECONDS", 2.0)
    await chain.begin(f"echo $PPID >{tmp_path}/ran")

    async def first() -> int | None:
        return next(iter(shims.get(chain.third, ())), None)

    await until_gone(await come_true(first))
    assert (await chain.end()).statuses == ["succeeded"] * 3
    assert [int((tmp_path / "ran").read_text())] == shims[chain.third][1:]
    await until_cleared(tmp_path)


async def test_a_step_that_is_not_reached_leaves_nothing_of_what_was_prepared(chain: Chain, tmp_path: Path) -> None:
    await chain.begin(f"touch {tmp_path}/ran", second="false", fields="    output: VALUE")
    shim = await shim_of(chain.third)
    ended = await chain.end()
    await until_gone(shim)
    assert ended.statuses == ["succeeded", "failed", "aborted"]
    assert not (tmp_path / "ran").exists()
    await until_cleared(tmp_path)


async def test_a_stop_leaves_nothing_of_what_was_prepared(chain: Chain, tmp_path: Path) -> None:
    await chain.begin(f"touch {tmp_path}/ran")
    shim = await shim_of(chain.third)
    assert (await chain.stop()).status == "aborted"
    await until_gone(shim)
    assert not (tmp_path / "ran").exists()


async def test_a_step_sees_what_the_one_before_it_gave(alone: Dagbook) -> None:
    ended = await alone.run(
        "type: chain\nsteps:\n"
        "  - {name: a, command: 'true'}\n"
        "  - {name: b, id: two, command: echo given, output: VALUE}\n"
        "  - {name: c, command: 'echo $VALUE ${two.exit_code}'}\n"
    )
    assert await ended.log("c") == "given 0"


async def test_a_step_works_in_the_directory_that_the_one_before_it_has_made(
    chain: Chain, foreseen: list[str], tmp_path: Path
) -> None:
    fields = f"    workingDir: {tmp_path}/new"
    await chain.begin("pwd", second=f"mkdir {tmp_path}/new", fields=fields)
    assert (await chain.end()).statuses == ["succeeded"] * 3
    assert foreseen[0] == chain.third


async def test_a_step_works_in_the_directory_that_the_one_before_it_has_put_in_place_of_another(
    chain: Chain, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    second = f"rm -r {place}; mkdir {place}; touch {place}/found"
    await chain.begin("ls", second=second, fields=f"    workingDir: {place}")
    await shim_of(chain.third)
    assert await (await chain.end()).log(chain.third) == "found"


async def test_a_program_that_the_step_before_removes_is_missed_as_ever(chain: Chain, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    await chain.begin("--help", second=f"rm {program}", fields=f"    shell: {program}")
    await shim_of(chain.third)
    ended = await chain.end()
    assert ended.statuses == ["succeeded", "succeeded", "failed"]
    assert "there is no such executable file" in ended.nodes[chain.third]["error"]


async def test_commands_inside_texts_wait_for_their_turn(chain: Chain, foreseen: list[str], tmp_path: Path) -> None:
    await chain.begin(f"echo `touch {tmp_path}/ran; echo it`")

    async def prepared() -> bool:
        return bool(foreseen)

    await come_true(prepared)
    assert not (tmp_path / "ran").exists()
    assert await (await chain.end()).log(chain.third) == "it"


async def test_secrets_are_hidden_in_what_was_prepared(alone: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("topsecret")
    ended = await alone.run(
        f"type: chain\nsecrets: [{{name: HIDDEN, provider: file, key: {tmp_path}/secret}}]\nsteps:\n"
        "  - {name: a, command: 'true'}\n"
        "  - {name: b, command: 'true'}\n"
        "  - {name: c, command: 'echo $HIDDEN'}\n"
    )
    assert await ended.log("c") == "*******"


async def test_steps_that_follow_each_other_run_once_each(alone: Dagbook, tmp_path: Path, foreseen: list[str]) -> None:
    names = [f"s{number:02}" for number in range(30)]
    steps = [f"  - {{name: {name}, command: 'echo {name} >>{tmp_path}/ran'}}" for name in names]
    ended = await alone.run("\n".join(["type: chain", "steps:", *steps]))
    assert set(ended.statuses) == {"succeeded"}
    assert (await until_written(tmp_path / "ran", names[-1])).split() == names
    assert foreseen
