"""The driver of evaluations: what a run may spend on texts that take long, and that the loop stays free meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dagbook.executors.jq.query import Budget
from dagbook.runs.evaluate import ShellContext, evaluate
from dagbook.spec.expansion.expand import ExpansionError, Mode, Variables, expand
from dagbook.spec.expansion.requests import Evaluation

LONG = "$A " * 20_000


def context(budget: Budget) -> ShellContext:
    return ShellContext(shell=("/bin/sh",), env={}, cwd=Path("/"), budget=budget)  # noqa: S604 - nothing is run


def long_text() -> Evaluation[str]:
    return expand(LONG, mode=Mode.FULL, variables=Variables([{"A": "value"}]))


async def test_a_long_text_is_evaluated_while_others_run() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await evaluate(long_text(), context(Budget())) == LONG.replace("$A", "value")
    counting.cancel()
    assert turns > 1


async def test_a_run_whose_texts_have_taken_too_long_gets_no_more() -> None:
    with pytest.raises(ExpansionError, match="too long to evaluate"):
        await evaluate(long_text(), context(Budget(seconds=0)))


async def test_short_texts_are_evaluated_even_then() -> None:
    short = expand("$A", mode=Mode.FULL, variables=Variables([{"A": "value"}]))
    assert await evaluate(short, context(Budget(seconds=0))) == "value"
