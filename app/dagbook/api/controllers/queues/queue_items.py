"""Operations on one queue and its entries (extensions of the contract, tag queues)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import msgspec
from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET

from dagbook.api.dependencies import CurrentCaller, RequestedPage, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.queues import group_by_queue, to_pause, to_queued_runs
from dagbook.api.presenters.runs import run_summary
from dagbook.api.routes import get, patch, permission, post
from dagbook.api.run_reads import add_rights
from dagbook.api.schemas.queues import ClearedQueue, ClearQueue, PauseQueue, QueueItems, QueueMove, QueueState
from dagbook.api.services import QueueServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals, queue
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.queue import ActiveRunRow, QueuedRunRow
from dagbook.engine.admission import QueueSnapshot
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten
from dagbook.queues.service import MoveRequest, check_priority
from dagbook.queues.wait_reasons import find_visible_names, make_states, read_pauses
from dagbook.runs.store.queue_head import pause_of, workers_for

Services = NamedDependency[QueueServices]

_ITEM = re.compile(r"[1-9][0-9]{0,17}")  # no row has a longer number


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the visible runs of a queue; ``first`` is the head of the queue, if there is one.

    ``waiting`` has the keys of the active runs that wait for an approval.
    """

    active: Sequence[ActiveRunRow]
    waiting: Collection[int]
    first: Sequence[QueuedRunRow]
    items: Sequence[QueuedRunRow]
    positions: Sequence[int]  # of the items, from 1
    total: int
    snapshot: QueueSnapshot


def _read_page(connection: ReadConnection, name: str, before: int, size: int, visibility: Visibility) -> _Page:
    active = [run for run in queue.find_active(connection) if run.queue == name]
    items = queue.find_items(connection, name, before, size, visibility)
    first = items[:1] if before == 0 and not visibility else queue.find_items(connection, name, 0, 1)
    workers = workers_for(connection, first)
    visible = find_visible_names(connection, active, visibility)
    positions: Sequence[int] = range(before + 1, before + 1 + len(items))
    if visibility:
        places = queue.find_positions(connection, [name], [run.id for run in items])
        by_item = {row.id: row.position for row in places}
        positions = [by_item[run.item] for run in items]
    shown = [run for run in active if visible is None or run.dag_name in visible]
    return _Page(
        active=shown,
        waiting=approvals.find_waiting(connection, [run.id for run in shown]),
        first=first,
        items=items,
        positions=positions,
        total=queue.count_items(connection, name, visibility),
        snapshot=make_states([name], active, read_pauses(connection), workers, visible)[name],
    )


async def _state(services: QueueServices, name: str) -> QueueState:
    pauses = await services.database.read_inline(queue.find_pauses)
    return QueueState(name=name, paused=to_pause(pause_of(pauses.get(name)), services.zone))


def _require_name(name: str) -> None:
    if "\0" in name:
        raise NotFoundError(f"there is no queue named {shorten(name)}")


class QueueItemsController(Controller):
    path = "/queues/{name:str}"
    opt = permission(Requires.READ)
    dependencies = provide_services(QueueServices)

    @get("/items", "listQueueItems", 404, narrowed=True)
    async def list_items(
        self, name: parameters.QueueName, services: Services, caller: CurrentCaller, page_number: RequestedPage
    ) -> QueueItems:
        """List the queued runs of a queue in order, each with its wait reason."""
        _require_name(name)
        page = await services.database.read(
            lambda connection: _read_page(connection, name, page_number.offset, page_number.size, caller.visibility)
        )
        paused = [name] if page.snapshot.pause and not caller.visibility else []
        views = group_by_queue(services.queues, page.active, page.first, paused)
        view = next((each for each in views if each.name == name), None)
        is_hidden = bool(caller.visibility) and not page.active and not page.total
        if view is None or (is_hidden and not view.configured):
            raise NotFoundError(f"queue {shorten(name)} has no runs and is not configured")
        shown = QueueItems(
            name=name,
            type="global" if view.configured else "dag-based",
            max_concurrency=view.limit if view.limit > 0 else UNSET,
            paused=to_pause(page.snapshot.pause, services.zone),
            running=[run_summary(run, services.zone, page.waiting) for run in page.active],
            items=to_queued_runs(page.items, page.first, page.snapshot, services.queues, services.zone, page.positions),
            pagination=page_number.paging(page.total),
        )
        await add_rights(services, [*shown.running, *shown.items], caller)
        return shown

    @patch("/items/{itemId:str}", "moveQueueItem", Requires.RUN, Action.QUEUE_MOVE, 404, empty=True)
    async def move_item(
        self,
        name: parameters.QueueName,
        item_id: parameters.QueueItem,
        data: JSONBody[QueueMove],
        services: Services,
        caller: CurrentCaller,
    ) -> None:
        """Change the priority of a queued run, or move it to the front of its queue or directly after another."""
        _require_name(name)
        if not _ITEM.fullmatch(item_id):
            raise NotFoundError(f"there is no entry {shorten(item_id)} in queue {shorten(name)}")
        priority = None if data.priority is UNSET or data.priority is None else check_priority(data.priority)
        request = MoveRequest(priority=priority, to_front=bool(data.to_front), after=data.after or None)
        await services.queue_service.move(name, int(item_id), request, caller.actor)

    @post("/pause", "pauseQueue", Requires.RUN, Action.QUEUE_PAUSE, 404)
    async def pause_queue(
        self,
        name: parameters.QueueName,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[PauseQueue | None] = None,
    ) -> QueueState:
        """Start no queued run of a queue until it is resumed, or until a time; active runs go on."""
        _require_name(name)
        given = data or PauseQueue()
        until = parameters.read_end(given.until, services.now())
        await services.queue_service.pause(name, caller.actor, parameters.read_reason(given.reason), until)
        return await _state(services, name)

    @post("/resume", "resumeQueue", Requires.RUN, Action.QUEUE_RESUME, 404)
    async def resume_queue(self, name: parameters.QueueName, services: Services, caller: CurrentCaller) -> QueueState:
        """Start queued runs of a paused queue again."""
        _require_name(name)
        await services.queue_service.resume(name, caller.actor)
        return await _state(services, name)

    @post("/clear", "clearQueue", Requires.RUN, Action.RUN_DEQUEUE, 404)
    async def clear_queue(
        self, name: parameters.QueueName, data: JSONBody[ClearQueue], services: Services, caller: CurrentCaller
    ) -> ClearedQueue:
        """Remove all queued runs from a queue, as if each were dequeued."""
        _require_name(name)
        return ClearedQueue(removed=await services.dequeue_service.clear(name, data.name, caller.actor))
