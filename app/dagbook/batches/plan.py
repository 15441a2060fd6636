"""Which items a batch has, what each of them begins with, and how it ends. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from dagbook.batches.requests import NewBatch
from dagbook.batches.slots import UNKNOWN, DueSlot
from dagbook.db.repositories.batches import batches
from dagbook.db.repositories.batches.batches import CURRENT, ORIGINAL
from dagbook.db.repositories.batches.items import DONE, FAILED, EndedItem, ItemRow, NewItem
from dagbook.db.repositories.batches.selection import SelectedRun
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.status import BAD_ENDS, RunStatus

_ALL, _MISSING, _NEWEST = "all", "missing", "newest"
GONE, DELETED = "its run was dequeued or deleted", "its run was deleted"
_FINAL = frozenset(status for status in RunStatus if status.is_final)
# The runs that an action is for.
STATUSES: dict[str, frozenset[RunStatus]] = {
    batches.AGAIN: _FINAL,
    batches.RETRY: BAD_ENDS,
    batches.STOP: frozenset({RunStatus.NOT_STARTED, RunStatus.RUNNING}),
    batches.DEQUEUE: frozenset({RunStatus.QUEUED}),
    batches.DELETE: _FINAL,
}
_MAKES_RUNS = (batches.AGAIN, batches.RETRY)


class BatchStep(StrEnum):
    """What an item begins with."""

    START = "start"  # a new run of a scheduled time that has none
    RETRY = "retry"  # the next attempt of its run, whose text is the one to run
    AGAIN = "again"  # a new run that replaces its run
    STOP = "stop"
    DEQUEUE = "dequeue"
    DELETE = "delete"


class PlannedSlot(msgspec.Struct, frozen=True):
    """A scheduled time that a batch would have, and what it would begin with."""

    slot: DueSlot
    step: BatchStep

    @classmethod
    def of(cls, slot: DueSlot, revision: int | None) -> PlannedSlot:
        """Plan a scheduled time with the text of a revision, None for that of its run."""
        if slot.start is None or slot.run is None:
            return cls(slot, BatchStep.START)
        return cls(
            slot,
            BatchStep.RETRY if slot.has_failed and revision in (None, slot.start.dag_revision) else BatchStep.AGAIN,
        )

    def item(self, batch: int, place: int, dag: int) -> NewItem:
        """Return the item to store."""
        due = self.slot.due
        return NewItem(
            batch_id=batch, place=place, dag_id=dag, minute=due.minute, zone=due.zone.key, source_run=self.slot.run
        )


class PlannedItem(msgspec.Struct, frozen=True):
    """A run that a batch would have, and what it would begin with."""

    run: SelectedRun
    step: BatchStep

    def item(self, batch: int, place: int, zone: str) -> NewItem:
        """Return the item to store; what may give another run to a scheduled time holds that time."""
        run, makes_run = self.run, self.step.value in _MAKES_RUNS
        minute = run.minute if makes_run else None
        return NewItem(
            batch_id=batch,
            place=place,
            dag_id=run.dag_id,
            minute=minute,
            zone=None if minute is None else zone,
            source_run=run.id,
        )


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The items of a batch, in order; the outcomes of all that was found, and how much of that other batches hold."""

    items: Sequence[PlannedSlot | PlannedItem]
    outcomes: Counter[str]
    held: Counter[int]
    warnings: Sequence[str] = ()

    @property
    def steps(self) -> Counter[BatchStep]:
        """How many items begin with what."""
        return Counter(item.step for item in self.items)


def plan_slots(slots: Sequence[DueSlot], wanted: NewBatch, revision: int) -> Plan:
    """Return the items for scheduled times; ``revision`` is the current one of the DAG."""
    left_out = frozenset(wanted.leave_out)
    free = [slot for slot in slots if slot.batch is None and not _is_left_out(slot, left_out)]
    text = text_of(wanted.text, revision)
    items = [PlannedSlot.of(slot, text) for slot in free if _is_wanted(slot, wanted)]
    return Plan(
        items=items[::-1] if wanted.order == _NEWEST else items,
        outcomes=Counter(slot.outcome for slot in slots),
        held=Counter(slot.batch for slot in slots if slot.batch is not None),
    )


def plan_runs(found: Sequence[SelectedRun], wanted: NewBatch) -> Plan:
    """Return the items for runs that were selected, which are sorted, the oldest first."""
    left_out = frozenset(wanted.leave_out)
    known = [run for run in found if left_out.isdisjoint((run.run_id, f"{run.dag_name}/{run.run_id}"))]
    steps = [(run, _step_for(run, wanted)) for run in known if run.batch is None or wanted.action not in _MAKES_RUNS]
    items = [PlannedItem(run, step) for run, step in steps if step is not None]
    without = len(steps) - len(items)
    return Plan(
        items=items[::-1] if wanted.order == _NEWEST else items,
        outcomes=Counter(run.status.label for run in known),
        held=Counter(run.batch for run in known if run.batch is not None and wanted.action in _MAKES_RUNS),
        warnings=[f"{without} of them are of no stored DAG; only their own text can run (original)"] if without else (),
    )


def _step_for(run: SelectedRun, wanted: NewBatch) -> BatchStep | None:
    """Return what the item of a run begins with; None if there is no text for it."""
    match wanted.action:
        case batches.AGAIN:
            return None if run.current is None and wanted.text != ORIGINAL else BatchStep.AGAIN
        case batches.RETRY:
            revision = None if run.current is None else text_of(wanted.text, run.current)
            return BatchStep.RETRY if revision in (None, run.dag_revision) else BatchStep.AGAIN
    return BatchStep(wanted.action)


def text_of(text: str | int, revision: int) -> int | None:
    """Return the revision that a batch runs; None is the one that each run had."""
    if text == ORIGINAL:
        return None
    return revision if text == CURRENT else int(text)


def _is_wanted(slot: DueSlot, wanted: NewBatch) -> bool:
    if slot.outcome == UNKNOWN:
        return wanted.unknown
    if slot.run is None:
        return wanted.only in (None, _MISSING, _ALL)
    return slot.has_failed if wanted.only in (None, "failed") else wanted.only == _ALL and slot.has_ended


def _is_left_out(slot: DueSlot, left_out: Collection[str]) -> bool:
    if not left_out:
        return False
    names = {slot.due.local.isoformat(), slot.due.minute.isoformat().replace("+00:00", "Z")}
    if slot.run_name is not None:
        names.add(slot.run_name)
    return not names.isdisjoint(left_out)


def next_step(
    item: ItemRow, run: RunRow | None, revision: int | None, *, all_again: bool, action: str = batches.START
) -> BatchStep | str:
    """Return what a planned item begins with, or why it is left out; ``run`` is the one that it would do again.

    With ``all_again`` runs are done again that have succeeded, too. A run that is recalled is never retried in place,
    for what its steps have done is wrong; the one that replaces it may be.
    """
    if run is None:
        return BatchStep.START if action == batches.START else DELETED
    if not run.status.is_final:
        return f"its run is {run.status.label}: it was started again meanwhile"
    if action == batches.AGAIN and item.run_id is None:
        return BatchStep.AGAIN
    if run.status in BAD_ENDS:
        return BatchStep.RETRY if revision in (None, run.dag_revision) else BatchStep.AGAIN
    return BatchStep.AGAIN if all_again else "its run has succeeded meanwhile"


def end_of(item: EndedItem) -> tuple[str, str | None]:
    """Return the state of a begun item whose run has finished or is gone, and why it is that."""
    if item.status is None:
        return FAILED, GONE
    if item.status in (RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED):
        return DONE, None
    return FAILED, item.error.split("\n", 1)[0] if item.error else item.status.label
