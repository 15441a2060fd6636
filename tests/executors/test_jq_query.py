"""jq programs in texts (DAG format 5.7): what they give, what is hidden from them, and that they end."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest

from dagbook.executors.jq.query import query
from dagbook.spec.problem import ExpansionError
from tests.waiting import wait_until

HIDDEN = "hidden-from-programs"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGBOOK_SECRET_KEY", HIDDEN)


async def test_a_program_gives_its_first_result_as_text() -> None:
    programs = [". | keys", ".b", ".b[]", ".n", '.t + "é"', ".x", '.b|map("\\(.)")|join(" ")', ".b # .n"]
    text = '{"b": [1.0, 2.5], "n": 1e3, "t": "ü", "x": null}'
    results = await asyncio.gather(*(query(text, program) for program in programs))
    assert results == ['["b","n","t","x"]', "[1,2.5]", "1", "1000", "üé", "", "1.0 2.5", "[1,2.5]"]


@pytest.mark.parametrize("text", ["", "{", "1 2", "nan", "text", "[" * 100_000, '"\ud800"'])
async def test_what_is_no_json_has_no_results(text: str) -> None:
    assert await query(text, "1") is None


@pytest.mark.parametrize(
    "program", [".[", "empty", "error", "nothing", "halt_error", "input", "inputs", ") | (", "\ud800"]
)
async def test_a_program_that_fails_has_no_result(program: str) -> None:
    assert await query("1", program) is None


async def test_neither_environment_nor_files_are_seen() -> None:
    programs = [". | env", "$ENV", "[env, $ENV] | tojson", 'import "a" as $x; .', 'include "a"; .', '"a" | modulemeta']
    results = await asyncio.gather(*(query("1", program) for program in programs))
    assert results == ["{}", "{}", "[{},{}]", None, None, None]


async def test_a_program_without_end_is_ended_with_a_reason_while_others_run() -> None:
    endless = asyncio.create_task(query("1", "def f: f; f"))
    started = time.monotonic()
    assert await query("[1]", ".[0] + 1") == "2"
    assert not endless.done()
    with pytest.raises(ExpansionError, match='the jq program "def f: f; f" took'):
        await endless
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ('reduce range(60) as $i ("a"; . + .) | length', "needs more than 512 MiB of memory"),
        ('reduce range(25) as $i ("a"; . + .)', "has a result of more than 16777216 characters"),
    ],
)
async def test_a_program_without_bounds_fails_with_a_reason(program: str, reason: str) -> None:
    with pytest.raises(ExpansionError, match=reason):
        await query("1", program)


async def test_a_cancelled_query_leaves_no_process() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await query("1", "def f: f; f")

    async def none_runs() -> bool:
        return not any(map(_runs_a_query, psutil.Process().children()))

    assert await wait_until(none_runs)


def _runs_a_query(child: psutil.Process) -> bool:
    try:
        return "query_program" in " ".join(child.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):  # it has ended
        return False
