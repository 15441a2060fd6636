"""Batches, their items, and the scheduled times of a DAG. An extension of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType

from dagbook.accounts.rights import find_permitted, permission_of, require_dag, sees_dag
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.fields import or_unset, present_row, time_text
from dagbook.api.routes import get, permission, post
from dagbook.api.schemas.batches import (
    Batch,
    BatchCounts,
    BatchFilter,
    BatchItem,
    BatchItems,
    BatchList,
    CancelBatch,
    CreatedBatch,
    DagSlot,
    DagSlots,
)
from dagbook.api.services import BatchServices
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.batches.plan import PlannedItem, PlannedSlot
from dagbook.batches.requests import NewBatch, check
from dagbook.batches.service import Affected, Created
from dagbook.batches.slots import DueSlot, read_bound
from dagbook.db.repositories import dags
from dagbook.db.repositories.batches import batches, items
from dagbook.db.repositories.batches.batches import BatchRow, ItemCounts
from dagbook.db.repositories.batches.items import ListedItem
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import runs
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import is_name, shorten, strip_suffix

Services = NamedDependency[BatchServices]
_MOST, _MOST_ITEMS, _MOST_PLANNED = 50, 500, 100  # batches and items of a page, items of a dry run
_MOST_DIGITS = 18
_USUAL = timedelta(days=31)


def _batch(row: BatchRow, counts: ItemCounts, zone: tzinfo, *, may_run: bool) -> Batch:
    """Return a batch as clients see it."""
    return present_row(
        Batch,
        row,
        zone,
        dag=or_unset(row.file_name),
        filter=msgspec.convert(row.filter, BatchFilter),
        text=row.revision,
        order=row.item_order,
        counts=BatchCounts(**msgspec.structs.asdict(counts)),
        may_run=may_run,
    )


def _item(row: ListedItem, zone: tzinfo) -> BatchItem:
    """Return an item as clients see it."""
    return present_row(
        BatchItem,
        row,
        zone,
        scheduled_at=UNSET if row.minute is None else time_text(row.minute, ZoneInfo(row.zone or "UTC")),
        source_run_id=or_unset(row.source_name),
        dag_run_id=or_unset(row.run_name),
    )


def _created(created: Created, dag: str, *, is_dry: bool) -> CreatedBatch:
    """Return what became of a request."""
    plan = created.plan
    shown = [_planned(place, item, dag) for place, item in enumerate(plan.items[:_MOST_PLANNED], 1)]
    of_runs = created.zone is None
    return CreatedBatch(
        batch_id=or_unset(created.batch),
        counts=BatchCounts(planned=len(plan.items)),
        slots={} if of_runs else dict(plan.outcomes),
        runs=dict(plan.outcomes) if of_runs else {},
        steps={str(step): number for step, number in plan.steps.items()},
        held={str(batch): number for batch, number in plan.held.items()},
        warnings=list(plan.warnings),
        schedule=list(created.schedule),
        zone=UNSET if created.zone is None else created.zone.key,
        revision=or_unset(created.revision),
        items=shown if is_dry else UNSET,
    )


def _planned(place: int, item: PlannedSlot | PlannedItem, dag: str) -> BatchItem:
    name: str | UnsetType = UNSET
    at: str | UnsetType = UNSET
    if isinstance(item, PlannedItem):
        dag, name, source = item.run.file_name or item.run.dag_name, item.run.dag_name, or_unset(item.run.run_id)
    else:
        at, source = time_text(item.slot.due.minute, item.slot.due.zone), or_unset(item.slot.run_name)
    return BatchItem(
        place=place,
        dag=dag,
        dag_name=name,
        scheduled_at=at,
        source_run_id=source,
        state="planned",
        step=item.step.value,
    )


def _slot(slot: DueSlot) -> DagSlot:
    """Return a scheduled time as clients see it."""
    return DagSlot(
        scheduled_at=time_text(slot.due.minute, slot.due.zone),
        outcome=slot.outcome,
        dag_run_id=or_unset(slot.run_name),
        batch_id=or_unset(slot.batch),
    )


async def _present(services: BatchServices, caller: Caller, rows: Sequence[BatchRow]) -> list[Batch]:
    """Return batches as clients see them, with what the caller may do."""
    counts = await services.batches.count(rows)
    (running,) = await find_permitted(services.auth, caller, [row.dag_name or "" for row in rows], Requires.RUN)
    return [
        _batch(
            row,
            counts[row.id],
            services.zone,
            may_run=(row.dag_name or "") in running or (row.dag_id is None and _is_own(row, caller)),
        )
        for row in rows
    ]


def _is_own(row: BatchRow, caller: Caller) -> bool:
    return caller.user_id is not None and row.created_by_id == caller.user_id


async def _require(services: BatchServices, caller: Caller, batch_id: str, *, runs: bool = False) -> BatchRow:
    """Return a batch that a caller sees, and may change with ``runs``; raises NotFoundError and ForbiddenError.

    One of several DAGs is changed by who has made it, or may change all; what goes on is done with the maker's rights.
    """
    key = _read_number(batch_id)
    if key is None:
        raise NotFoundError(f"there is no batch {shorten(batch_id)}")
    row = await services.batches.require(key, caller.visibility, caller.user_id)
    if runs and not (row.dag_id is None and _is_own(row, caller)):
        requires = Requires.WRITE if row.action == batches.DELETE else Requires.RUN
        permission_of(services.auth, caller, requires)
        await require_dag(services.auth, caller, row.dag_name or "", requires)
    return row


def _read_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


async def _answer(services: BatchServices, caller: Caller, batch_id: str) -> Batch:
    (shown,) = await _present(services, caller, [await _require(services, caller, batch_id)])
    return shown


async def _get_dag(services: BatchServices, file_name: str) -> DagRow | None:
    name = strip_suffix(file_name)
    return await services.database.read_inline(dags.get, name) if is_name(name) else None


async def _find_dag(services: BatchServices, caller: Caller, file_name: str) -> tuple[DagRow | None, str]:
    """Return a DAG that a caller sees, or None for one that only has runs, and its name; raises NotFoundError."""
    name, dag = strip_suffix(file_name), await _get_dag(services, file_name)
    latest = await services.database.read_inline(runs.get_latest, name) if dag is None and is_name(name) else None
    dag_name = name if dag is None else dag.dag_name
    if (dag is None and latest is None) or not await sees_dag(services.auth, caller, dag_name):
        raise NotFoundError(f"dag: there is no DAG named {shorten(file_name)}")
    return dag, dag_name


def _position(cursor: str | None) -> int | None:
    """Return the number in a cursor; raises BadRequestError."""
    if cursor is not None and _read_number(cursor) is None:
        raise BadRequestError(f"cursor: {shorten(cursor)} is not valid; use nextCursor of a response")
    return None if cursor is None else _read_number(cursor)


class BatchesController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(BatchServices)

    @post("/batches", "createBatch", Requires.RUN, Action.BATCH_CREATE, *(404, 409, 412), checks_grants=True)
    async def create(self, data: JSONBody[NewBatch], services: Services, caller: CurrentCaller) -> CreatedBatch:
        """Make a batch: of the scheduled times of a range, or of the runs that match a filter.

        With ``dryRun`` nothing is stored. Without items there is no batch, which is no error.
        """
        check(data)
        requires = Requires.WRITE if data.action == batches.DELETE else Requires.RUN
        permitted = permission_of(services.auth, caller, requires)
        dag, name = (None, None) if data.dag is UNSET else await _find_dag(services, caller, data.dag)
        if name is not None:
            await require_dag(services.auth, caller, name, requires)
        if data.action != batches.START:
            affected = Affected(name=name, visibility=caller.visibility, permitted=permitted)
            created = await services.batches.create_of_runs(data, dag, affected, caller.actor)
        elif dag is None:
            raise NotFoundError(f"dag: there is no DAG named {shorten(data.dag or '')}")
        else:
            created = await services.batches.create(data, dag, caller.actor)
        return _created(created, name or "", is_dry=data.dry_run)

    @get("/batches", "listBatches", narrowed=True)
    async def list_batches(
        self, services: Services, caller: CurrentCaller, cursor: parameters.AlertCursor = None
    ) -> BatchList:
        """List batches, the newest first."""
        before = _position(cursor)
        rows = await services.database.read(
            lambda connection: batches.find_page(connection, before, _MOST + 1, caller.visibility, caller.user_id)
        )
        shown = await _present(services, caller, rows[:_MOST])
        return BatchList(batches=shown, next_cursor=str(rows[_MOST - 1].id) if len(rows) > _MOST else UNSET)

    @get("/batches/{batchId:str}", "getBatch", 404, narrowed=True)
    async def get_batch(self, batch_id: parameters.BatchId, services: Services, caller: CurrentCaller) -> Batch:
        """Return a batch, and how far it is."""
        return await _answer(services, caller, batch_id)

    @get("/batches/{batchId:str}/items", "listBatchItems", 404, narrowed=True)
    async def list_items(
        self,
        batch_id: parameters.BatchId,
        services: Services,
        caller: CurrentCaller,
        cursor: parameters.AlertCursor = None,
        item_state: parameters.ItemState = None,
        per_page: parameters.PerPage = 1000,
    ) -> BatchItems:
        """List the items of a batch in their order, each with its run, or with why it has none."""
        row, after = await _require(services, caller, batch_id), min(_position(cursor) or 0, 2**31 - 1)
        most = min(max(per_page, 1), _MOST_ITEMS)
        found = await services.database.read(items.find_page, row.id, after, most + 1, item_state, caller.visibility)
        shown = [_item(item, services.zone) for item in found[:most]]
        return BatchItems(items=shown, next_cursor=str(shown[-1].place) if len(found) > most else UNSET)

    @post("/batches/{batchId:str}/pause", "pauseBatch", Requires.RUN, Action.BATCH_PAUSE, 404, checks_grants=True)
    async def pause(self, batch_id: parameters.BatchId, services: Services, caller: CurrentCaller) -> Batch:
        """Begin no further item until the batch is resumed; runs that have begun go on."""
        await services.batches.pause((await _require(services, caller, batch_id, runs=True)).id, caller.actor)
        return await _answer(services, caller, batch_id)

    @post("/batches/{batchId:str}/resume", "resumeBatch", Requires.RUN, Action.BATCH_RESUME, 404, checks_grants=True)
    async def resume(self, batch_id: parameters.BatchId, services: Services, caller: CurrentCaller) -> Batch:
        """Go on with a batch that was paused, or has paused itself; items that have failed stay so."""
        await services.batches.resume((await _require(services, caller, batch_id, runs=True)).id, caller.actor)
        return await _answer(services, caller, batch_id)

    @post("/batches/{batchId:str}/cancel", "cancelBatch", Requires.RUN, Action.BATCH_CANCEL, 404, checks_grants=True)
    async def cancel(
        self,
        batch_id: parameters.BatchId,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[CancelBatch | None] = None,
    ) -> Batch:
        """Leave out all items that have not begun, for good; their runs go on, unless they are to be stopped."""
        row = await _require(services, caller, batch_id, runs=True)
        stops_runs = data is not None and data.stop_runs
        await services.batches.cancel(row.id, caller.actor, stops_runs=stops_runs)
        return await _answer(services, caller, batch_id)

    @post(
        "/batches/{batchId:str}/retry", "retryBatch", Requires.RUN, Action.BATCH_RETRY, *(404, 409), checks_grants=True
    )
    async def retry(self, batch_id: parameters.BatchId, services: Services, caller: CurrentCaller) -> Batch:
        """Plan the items that have failed again, and go on."""
        await services.batches.retry((await _require(services, caller, batch_id, runs=True)).id, caller.actor)
        return await _answer(services, caller, batch_id)

    @get("/dags/{fileName:str}/slots", "listDAGSlots", 404)
    async def list_slots(
        self,
        file_name: parameters.FileName,
        services: Services,
        first: parameters.FirstDay = None,
        last: parameters.LastDay = None,
    ) -> DagSlots:
        """List the scheduled times of a DAG between two days of its schedule, and what became of each.

        Without days these are the last 31.
        """
        dag = await _get_dag(services, file_name)
        if dag is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        today = services.now().astimezone(services.zone).date()
        begin = read_bound(first, "from") if first else today - _USUAL
        end = read_bound(last, "to") if last else today
        return DagSlots(slots=[_slot(slot) for slot in await services.batches.find_slots(dag, begin, end)])
