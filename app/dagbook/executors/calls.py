"""Steps that call other DAGs, once or for many items (runtime 20.6 to 20.8).

The runs are started by a ``SubRunStarter``; nothing here depends on how.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from dagbook.executors.contract import Outcome, StepError, Streams
from dagbook.identifiers import shorten
from dagbook.spec.model import Pair

_GOOD = ("succeeded", "partially_succeeded")
_ERROR_LENGTH = 200
_MAX_FAILURES = 5  # failed items that an error names


class SubRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that a step calls; its id is assigned before it starts. ``attempt`` is the current one.

    ``pairs`` are its params where ``params``, the text that is shown, is not read as them (``GivenParams``).
    """

    id: str
    name: str
    params: str = ""
    pairs: tuple[Pair, ...] | None = None
    attempt: int = 1


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a finished sub-run; ``status`` is the label of its status."""

    name: str
    run_id: str
    params: str
    outputs: Mapping[str, str]
    status: str
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the status counts as a success."""
        return self.status in _GOOD


class SubRunStarter(Protocol):
    """Starts and stops the sub-runs of one step."""

    async def run(self, sub_run: SubRun) -> Result:
        """Start a sub-run, or resume the existing one, and return its result. Raises StepError."""

    def stop(self, sub_run: SubRun, *, at_once: bool) -> None:
        """Stop a sub-run; ``at_once`` kills its steps."""


class SubRunBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The sub-runs of one execution; ``each`` is True for a call for items, whatever their number."""

    sub_runs: Sequence[SubRun]
    each: bool = False
    max_concurrent: int = 1
    grace_seconds: float  # between stopping sub-runs and killing them


class SubRunExecution:
    """An execution that runs sub-runs."""

    def __init__(self, call: SubRunBatch, starter: SubRunStarter, streams: Streams) -> None:
        self._call = call
        self._starter = starter
        self._streams = streams
        self._queued = list(reversed(call.sub_runs))
        self._active: dict[str, SubRun] = {}
        self._results: dict[str, Result] = {}
        self._errors: dict[str, StepError] = {}
        self._stopping = False
        self._kill_timer: asyncio.TimerHandle | None = None

    async def wait(self) -> Outcome:
        """Run the sub-runs, a limited number at a time; returns when all are finished and the result is written."""
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self._call.max_concurrent, len(self._queued))):
                    workers.create_task(self._run_queued())
            self._streams.out(self._result_text() + "\n")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # the caller has to recognise an outage of the database
        finally:
            self._streams.close()
            if self._kill_timer is not None:
                self._kill_timer.cancel()
        bad = [result for result in self._results.values() if not result.is_good]
        if bad or self._errors:
            return self._failure(bad)
        missing = any(sub_run.id not in self._results for sub_run in self._call.sub_runs)
        return Outcome(exit_code=0, partial=missing or any(one.status != _GOOD[0] for one in self._results.values()))

    async def _run_queued(self) -> None:
        while self._queued:
            sub_run = self._queued.pop()
            self._active[sub_run.id] = sub_run
            try:
                self._results[sub_run.id] = await self._starter.run(sub_run)
            except StepError as error:
                self._errors[sub_run.id] = error
            finally:
                del self._active[sub_run.id]

    def signal(self, name: str) -> None:  # noqa: ARG002 - a sub-run's steps have signals of their own
        """Stop the active sub-runs and start no more."""
        if not self._stopping:
            self._stopping = True
            self._stop_active(at_once=False)

    def kill(self) -> None:
        """Kill the sub-runs: now if they were stopped before, else after the grace period."""
        if self._stopping:
            self._stop_active(at_once=True)
            return
        self.signal("")
        loop = asyncio.get_running_loop()
        self._kill_timer = loop.call_later(self._call.grace_seconds, lambda: self._stop_active(at_once=True))

    def _stop_active(self, *, at_once: bool) -> None:
        self._queued.clear()
        for sub_run in self._active.values():
            self._starter.stop(sub_run, at_once=at_once)

    def detach(self) -> None:
        """Do nothing: sub-runs are ordinary runs and continue without this server."""

    def _result_text(self) -> str:
        """Format stdout: the result of a single call (runtime 20.6), or those of all items (20.8)."""
        found = [self._results.get(sub_run.id) for sub_run in self._call.sub_runs]
        document: dict[str, object] | None
        if not self._call.each:
            document = None if found[0] is None else _to_dict(found[0])
        else:
            results = [result for result in found if result is not None]
            good = [result for result in results if result.is_good]
            summary = {"total": len(found), "succeeded": len(good), "failed": len(results) - len(good)}
            outputs = [dict(sorted(result.outputs.items())) for result in good]
            document = {"summary": summary, "results": [_to_dict(result) for result in results], "outputs": outputs}
        return json.dumps(document, indent=2, ensure_ascii=False)

    def _failure(self, bad: Sequence[Result]) -> Outcome:
        texts: list[str] = []
        for result in bad:
            # An item is known by its params; ids of 44 characters would leave no room for the cause in lists.
            which = f"item {shorten(result.params)}" if self._call.each and result.params else "run"
            text = f"{which} of DAG {result.name!r} ended {result.status}"
            # The end of its error: there a chain of calls names the cause.
            error = result.error if len(result.error) <= _ERROR_LENGTH else "…" + result.error[-_ERROR_LENGTH:]
            texts.append(f"{text}: {error}" if error else text)
        texts += dict.fromkeys(map(str, self._errors.values()))
        if not self._call.each:
            return Outcome(exit_code=1, error=f"the called {texts[0]}" if bad else texts[0])
        count = len(bad) + len(self._errors)
        more = f" and {len(texts) - _MAX_FAILURES} more" if len(texts) > _MAX_FAILURES else ""
        head = f"{count} of {len(self._call.sub_runs)} items failed: "
        return Outcome(exit_code=1, error=head + "; ".join(texts[:_MAX_FAILURES]) + more)


def _to_dict(result: Result) -> dict[str, object]:
    params = {"params": result.params} if result.params else {}
    outputs = dict(sorted(result.outputs.items()))
    return {"name": result.name, "dagRunId": result.run_id, **params, "outputs": outputs, "status": result.status}
