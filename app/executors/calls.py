"""Steps that call other DAGs, once or for many items: runs are asked of the ``Children`` they were given.

Runtime 20.6 to 20.8. Nothing here knows how a run starts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from app.executors.contract import Outcome, StepError, Streams

_GOOD = ("succeeded", "partially_succeeded")
_ERROR_LENGTH = 200
_NAMED = 5  # failed items that an error names


class SubRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that a step calls: known before it starts. ``attempt`` is the one of it that counts."""

    id: str
    name: str
    params: str = ""
    attempt: int = 1


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a sub-run ended: its name and id, the params it ran with, its outputs, and the label of its status."""

    name: str
    run_id: str
    params: str
    outputs: Mapping[str, str]
    status: str
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it counts as a success."""
        return self.status in _GOOD


class Children(Protocol):
    """Those who make sub-runs of one call real."""

    async def run(self, wanted: SubRun) -> Result:
        """Start a sub-run, or go on with the one there is, and return how it ended; raises StepError."""

    def stop(self, wanted: SubRun, *, at_once: bool) -> None:
        """Ask a sub-run to end; ``at_once`` grants its steps no time."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a step calls. ``each`` tells a call for items, however few, from a single one."""

    sub_runs: Sequence[SubRun]
    each: bool = False
    max_concurrent: int = 1
    grace_seconds: float  # between asking sub-runs to end and ending them


class CallExecution:
    """The sub-runs of one execution under way."""

    def __init__(self, call: Call, children: Children, streams: Streams) -> None:
        self._call = call
        self._children = children
        self._streams = streams
        self._waiting = list(reversed(call.sub_runs))
        self._open: dict[str, SubRun] = {}
        self._results: dict[str, Result] = {}
        self._errors: dict[str, StepError] = {}
        self._stopping = False
        self._forcing: asyncio.TimerHandle | None = None

    async def wait(self) -> Outcome:
        """Start the sub-runs, at most so many at a time, and return when all have ended and their result is written."""
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self._call.max_concurrent, len(self._waiting))):
                    workers.create_task(self._work())
            self._streams.out(self._text() + "\n")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # an outage of the database has to be known for one
        finally:
            self._streams.close()
            if self._forcing is not None:
                self._forcing.cancel()
        return self._outcome()

    async def _work(self) -> None:
        while self._waiting:
            wanted = self._waiting.pop()
            self._open[wanted.id] = wanted
            try:
                self._results[wanted.id] = await self._children.run(wanted)
            except StepError as error:
                self._errors[wanted.id] = error
            finally:
                del self._open[wanted.id]

    def signal(self, name: str) -> None:  # noqa: ARG002 - a sub-run's steps have signals of their own
        """Start no more sub-runs and ask those under way to stop."""
        if not self._stopping:
            self._stopping = True
            self._end(at_once=False)

    def kill(self) -> None:
        """End the sub-runs: at once if they had their time, else after it."""
        if self._stopping:
            self._end(at_once=True)
            return
        self.signal("")
        loop = asyncio.get_running_loop()
        self._forcing = loop.call_later(self._call.grace_seconds, lambda: self._end(at_once=True))

    def _end(self, *, at_once: bool) -> None:
        self._waiting.clear()
        for wanted in self._open.values():
            self._children.stop(wanted, at_once=at_once)

    def detach(self) -> None:
        """Sub-runs are runs like any other: they go on without this server."""

    def _text(self) -> str:
        found = [self._results.get(wanted.id) for wanted in self._call.sub_runs]
        if not self._call.each:
            return show_result(found[0])
        return show_results(len(found), [result for result in found if result is not None])

    def _outcome(self) -> Outcome:
        missing = [wanted for wanted in self._call.sub_runs if wanted.id not in self._results]
        bad = [result for result in self._results.values() if not result.is_good]
        if bad or self._errors:
            return self._failure(bad)
        partial = any(result.status != _GOOD[0] for result in self._results.values())
        return Outcome(exit_code=0, partial=partial or bool(missing))

    def _failure(self, bad: Sequence[Result]) -> Outcome:
        texts = [_describe(result) for result in bad]
        texts += [str(error) for error in dict.fromkeys(map(str, self._errors.values()))]
        if not self._call.each:
            return Outcome(exit_code=1, error=f"the called {texts[0]}" if bad else texts[0])
        count = len(bad) + len(self._errors)
        more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
        head = f"{count} of {len(self._call.sub_runs)} items failed: "
        return Outcome(exit_code=1, error=head + "; ".join(texts[:_NAMED]) + more)


def _describe(result: Result) -> str:
    """Say how a sub-run ended; of its error the end, for there a chain of calls names the cause."""
    error = result.error if len(result.error) <= _ERROR_LENGTH else "…" + result.error[-_ERROR_LENGTH:]
    text = f"run {result.run_id} of DAG {result.name!r} ended {result.status}"
    return f"{text}: {error}" if error else text


def show_result(result: Result | None) -> str:
    """Write what a call gives to its step's stdout (runtime 20.6)."""
    return _show(None if result is None else _plain(result))


def show_results(total: int, results: Sequence[Result]) -> str:
    """Write what a parallel call gives to its step's stdout (runtime 20.8)."""
    good = [result for result in results if result.is_good]
    summary = {"total": total, "succeeded": len(good), "failed": len(results) - len(good)}
    outputs = [dict(sorted(result.outputs.items())) for result in good]
    return _show({"summary": summary, "results": [_plain(result) for result in results], "outputs": outputs})


def _plain(result: Result) -> dict[str, Any]:
    params = {"params": result.params} if result.params else {}
    outputs = dict(sorted(result.outputs.items()))
    return {"name": result.name, "dagRunId": result.run_id, **params, "outputs": outputs, "status": result.status}


def _show(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
