"""Enqueueing and dequeueing of runs, and the list of queues (tags dags, dag-runs and queues)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.dependencies import CurrentCaller, RequestedRun, provide_run, provide_services
from dagbook.api.params import parameters
from dagbook.api.params.run_filters import REPEATED, RunSearch
from dagbook.api.presenters.queues import group_by_queue, is_visible, summarize, to_queue
from dagbook.api.routes import RUN, get, permission, post
from dagbook.api.run_reads import add_rights, list_named
from dagbook.api.schemas.queues import EnqueueDAG, EnqueueInline, QueuesResponse
from dagbook.api.schemas.runs import DAGRuns, StartedRun
from dagbook.api.services import QueueServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals, queue
from dagbook.db.repositories.queue import ActiveRunRow, QueuedRunRow
from dagbook.definitions.queries import require_dag
from dagbook.engine.admission import Labels
from dagbook.queues.service import check_priority
from dagbook.queues.wait_reasons import Pauses, find_visible_names, make_states, read_pauses
from dagbook.runs.model import StartOptions
from dagbook.runs.store.queue_head import workers_for
from dagbook.spec.params.param_text import GivenParams

Services = NamedDependency[QueueServices]

_QUICKLY_READ = 25  # active and queued runs each


class _Queues(NamedTuple):
    """What a list of queues is made from; ``visible`` has the DAG names that the caller sees, None for all.

    ``waiting`` has the keys of the active runs that wait for an approval.
    """

    active: Sequence[ActiveRunRow]
    waiting: Collection[int]
    queued: Sequence[QueuedRunRow]
    pauses: Pauses
    workers: Sequence[Labels] | None
    visible: Collection[str] | None


class QueuesController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(QueueServices, run=provide_run)

    @post("/dags/{fileName:str}/enqueue", "enqueueDAGDAGRun", Requires.RUN, Action.RUN_ENQUEUE, 404, 409)
    async def enqueue_dag(
        self,
        file_name: parameters.FileName,
        data: JSONBody[EnqueueDAG],
        services: Services,
        caller: CurrentCaller,
        traceparent: parameters.TraceParent = None,
    ) -> StartedRun:
        """Enqueue a run of a stored DAG in its queue, or in another one; callers with grants in its own alone."""
        start = StartOptions(
            params=GivenParams(data.params or ""),
            run_id=data.dag_run_id or "",
            dag_name=data.dag_name or "",
            queue=(data.queue or "").strip(),
            own_queue_only=bool(caller.visibility),
            priority=check_priority(data.priority or 0),
            actor=caller.actor,
            traceparent=traceparent or "",
            edits=caller.may_write,
        )
        await services.auth.access.check_run_name(start.dag_name, caller)
        dag = await require_dag(services.database, file_name)
        return StartedRun(dag_run_id=await services.run_service.enqueue_stored(dag, start))

    @post("/dag-runs/enqueue", "enqueueDAGRunFromSpec", Requires.RUN_TEXT, Action.RUN_ENQUEUE, 409)
    async def enqueue_text(
        self,
        data: JSONBody[EnqueueInline],
        services: Services,
        caller: CurrentCaller,
        traceparent: parameters.TraceParent = None,
    ) -> StartedRun:
        """Enqueue a run of a definition that is not stored as a DAG in its queue, or in another one."""
        start = StartOptions(
            params=GivenParams(data.params or ""),
            run_id=data.dag_run_id or "",
            queue=(data.queue or "").strip(),
            priority=check_priority(data.priority or 0),
            source_directory=data.source_directory or None,
            actor=caller.actor,
            traceparent=traceparent or "",
        )
        with services.limits.read_text(caller, data.spec):
            run_id = await services.run_service.enqueue_text(data.spec, (data.name or "").strip(), start)
        return StartedRun(dag_run_id=run_id)

    @get("/dag-runs/enqueue", fixed_name="name", repeated=REPEATED)
    async def list_runs_of_dag_called_enqueue(
        self, services: Services, caller: CurrentCaller, run_search: NamedDependency[RunSearch]
    ) -> DAGRuns:
        """List the runs of the DAG named ``enqueue``, which this path would hide."""
        return await list_named(services, "enqueue", run_search, caller)

    @get(f"{RUN}/dequeue", "dequeueDAGRun", 404, requires=Requires.RUN, audits=Action.RUN_DEQUEUE, empty=True)
    async def dequeue_run(self, run: RequestedRun, services: Services, caller: CurrentCaller) -> None:
        """Remove a run from its queue. In the contract this is a GET, although it changes data."""
        await services.dequeue_service.dequeue(await services.database.read_inline(run.require), caller.actor)

    @get("/queues", "listQueues", narrowed=True)
    async def list_queues(self, services: Services, caller: CurrentCaller) -> QueuesResponse:
        """List the configured queues, and all others with active or queued runs or a pause.

        A caller with grants sees its own runs in them, and of the others only those queues.
        """

        def read_queues(connection: ReadConnection, most: int) -> _Queues:
            active, queued = queue.find_active(connection, most), queue.find_queued(connection, most)
            visible = find_visible_names(connection, [*active, *queued], caller.visibility)
            waiting = approvals.find_waiting(connection, [run.id for run in active])
            pauses, workers = read_pauses(connection), workers_for(connection, queued)
            return _Queues(active, waiting, queued, pauses, workers, visible)

        found = await services.database.read_inline(read_queues, _QUICKLY_READ)
        if _QUICKLY_READ in (len(found.active), len(found.queued)):
            found = await services.database.read(read_queues, queue.ALL)
        views = group_by_queue(services.queues, found.active, found.queued, list(found.pauses.queues))
        names = [view.name for view in views]
        snapshots = make_states(names, found.active, found.pauses, found.workers, found.visible)
        queues = [
            to_queue(view, snapshots[view.name], services.queues, services.zone, found.visible, found.waiting)
            for view in views
            if is_visible(view, found.visible)
        ]
        await add_rights(services, [run for each in queues for run in (*each.running, *each.queued)], caller)
        return QueuesResponse(queues=queues, summary=summarize(queues))
