"""What must hold of the events of a database, beside what their senders were answered and which steps have started."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select

from dagbook.db.database import ReadConnection
from dagbook.db.models import Run, Trigger, TriggerEvent
from dagbook.engine.status import RunStatus
from tests.chaos.experiment import READ_UPTIME, Witness
from tests.chaos.triggers.senders import STARTED, Sent
from tests.process import invariants, store
from tests.process.server import Api
from tests.process.waiting import NotInTimeError

PUSH, ORDERED, REPORT = "push", "ordered", "report"  # DAGs; the last one follows another
WAITING = "SELECT count(*) AS number FROM trigger_events WHERE state = 'waiting'"
_OPEN = f"""
SELECT ({WAITING}) AS waiting, (SELECT count(*) FROM runs WHERE finished_at IS NULL) AS unfinished,
(SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM trigger_events) AS events
"""  # noqa: S608 - a constant
_POLL_SECONDS, _STUCK_SECONDS = 0.5, 60.0
_columns = (TriggerEvent.id, Trigger.name, TriggerEvent.state, TriggerEvent.reason, TriggerEvent.duplicates)
_events = select(*_columns, TriggerEvent.run_id).join(Trigger, Trigger.id == TriggerEvent.trigger_id)
_runs = select(Run.id, Run.run_id, Run.status).where(Run.root_id.is_(None))


class EventRow(NamedTuple):
    """An event, and the key of its run, if it has one."""

    id: str
    hook: str
    state: str
    reason: str | None
    duplicates: int
    run: int | None


class RunRow(NamedTuple):
    key: int
    run_id: str
    status: RunStatus


class Rows(NamedTuple):
    """The events by their ids, and the runs by their keys."""

    events: Mapping[str, EventRow]
    runs: Mapping[int, RunRow]


def store_dags(api: Api, witness: Path) -> None:
    """Store the DAGs, whose step writes down which event, file or run it has, the size of the file, and its run."""
    for name, limit, has in ((PUSH, 1000, "$EVENT"), (ORDERED, 1, "$EVENT"), (REPORT, 1000, "$UPSTREAM_RUN_ID")):
        command = f"{READ_UPTIME}; echo {has} $SIZE $DAG_RUN_ID $uptime >>{witness}"
        steps = f"params: {{EVENT: none, SIZE: 0}}\nsteps: [{{name: a, shell: sh, command: '{command}'}}]\n"
        api.store(name, f"maxActiveRuns: {limit}\n{steps}")


def wait_until_settled(url: str, *, events: int = 0, stuck_seconds: float = _STUCK_SECONDS) -> None:
    """Wait until there are so many events, none waits and no run is left.

    Raises NotInTimeError if nothing advances for so long.
    """
    seen, advanced = (-1, -1, -1, -1), time.monotonic()
    while True:
        [row] = store.query(url, _OPEN)
        found = (row.waiting, row.unfinished, row.runs, row.events)
        if not row.waiting and not row.unfinished and row.events >= events:
            return
        if found != seen:
            seen, advanced = found, time.monotonic()
        elif time.monotonic() - advanced > stuck_seconds:
            raise NotInTimeError(
                f"{row.waiting} of {row.events} events wait and {row.unfinished} runs are left, without an advance"
            )
        time.sleep(_POLL_SECONDS)  # the bound is the time without an advance


def find_violations(url: str, sent: Iterable[Sent], witness: Witness) -> Iterator[str]:
    """Compare a database with what its senders were answered, and examine it."""
    yield from compare(read_rows(url), list(sent), [(words[0], words[2]) for words in witness.lines()])
    yield from invariants.find_violations(url)


def compare(rows: Rows, sent: Sequence[Sent], started: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Return a sentence for each event that was lost, is doubled, or is not what its sender was answered.

    ``started`` has the event and the run of each step that has started, in order.
    """
    for each in sent:
        yield from _violations_of(each, rows)
    answered = {id_ for each in sent for id_ in each.ids}
    yield from (f"the event {id_} was answered to no sender" for id_ in rows.events.keys() - answered)
    settled = {row.run for row in rows.events.values()}
    yield from (f"the run {run.run_id} is of no event" for run in rows.runs.values() if run.key not in settled)
    wanted = {(each.event.name, id_) for each in sent if each.event.kind == STARTED for id_ in each.ids}
    counts = Counter(started)
    for name, run_id in sorted(wanted | counts.keys()):
        if counts[name, run_id] != ((name, run_id) in wanted):
            yield f"the step of {name} has started {counts[name, run_id]} times in the run {run_id}"
    yield from _disorder([each for each in sent if each.event.hook == ORDERED], [name for name, _ in started])


def read_rows(url: str) -> Rows:
    """Read the events of a database with their runs."""

    def read(connection: ReadConnection) -> Rows:
        events = [EventRow(*row) for row in connection.execute(_events)]
        runs = [RunRow(*row) for row in connection.execute(_runs)]
        return Rows({row.id: row for row in events}, {row.key: row for row in runs})

    return store.with_retries(url, lambda database: database.read(read))


def _violations_of(sent: Sent, rows: Rows) -> Iterator[str]:
    name = sent.event.name
    if sent.refusal:
        yield sent.refusal
    if len(sent.ids) != 1:
        yield f"{name} was answered with {len(sent.ids)} ids"
        return
    [id_] = sent.ids
    if (row := rows.events.get(id_)) is None:
        yield f"lost: {name} was answered with {id_} and is not there"
        return
    if (row.hook, row.state) != (sent.event.hook, sent.event.kind):
        yield f"{name} is {row.state} at {row.hook}: {row.reason}"
    run = rows.runs.get(row.run or 0)
    if row.state == STARTED and (run is None or (run.run_id, run.status) != (id_, RunStatus.SUCCEEDED)):
        yield f"{name} has {run}, not the run {id_} that has succeeded"
    if sent.accepted > 1:
        yield f"{name} was accepted {sent.accepted} times"
    # A request whose answer was lost may have been received.
    received = row.duplicates + 1 - sent.accepted - sent.repeated
    if not 0 <= received <= sent.lost:
        yield f"{name} has {row.duplicates} duplicates, {sent.accepted + sent.repeated} answers, {sent.lost} lost ones"


def _disorder(sent: Sequence[Sent], started: Sequence[str]) -> Iterator[str]:
    """Return each event that was answered before another one was sent, and whose step has started after that one."""
    by_name = {each.event.name: each for each in sent}
    order = [by_name[name] for name in started if name in by_name]
    earliest = None  # of the answers to events that start later
    for each in reversed(order):
        if earliest and earliest.answered is not None and earliest.answered < each.first:
            yield f"{earliest.event.name} was answered before {each.event.name} was sent, and has started after it"
        if each.answered is not None and (not earliest or each.answered < (earliest.answered or each.answered)):
            earliest = each
