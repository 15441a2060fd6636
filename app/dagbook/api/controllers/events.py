"""Events (extension of the contract): the live feed of changes, and the events of a run."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import tzinfo
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from dagbook.accounts.access import Access
from dagbook.accounts.auth_setup import AuthServices
from dagbook.api.auth.guards import credentials_of, is_still_authorized
from dagbook.api.errors import errors
from dagbook.api.live.event_stream import EVENT_STREAM, EventStream, stream
from dagbook.api.live.feed import Feed
from dagbook.api.live.sse import read_cursor
from dagbook.api.live.subscription import FeedFilter, RunKey
from dagbook.api.params import parameters
from dagbook.api.presenters.history import run_event
from dagbook.api.providers import provide_services
from dagbook.api.requests import ApiRequest
from dagbook.api.schemas.run_logs import RunEvents
from dagbook.api.services import SubRunKey
from dagbook.api.shares import Shares
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.changes import FeedCursor
from dagbook.db.repositories.runs import run_history
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.errors import BadRequestError
from dagbook.identifiers import LATEST, shorten
from dagbook.runs.queries import find_run, find_sub_run

_TEXT = ResponseSpec(
    str,
    generate_examples=False,
    media_type=EVENT_STREAM,
    description="Events: ready or reset first, then run, dag, queue and log; see docs/reference/api-extensions.md",
)


_MAX_OUTPUTS = 32


def provide_position(after: parameters.After = None, last_event_id: parameters.LastEventId = None) -> FeedCursor | None:
    """Read the event to resume after; None for changes from now on."""
    field, number = ("Last-Event-ID", last_event_id) if last_event_id else ("after", after)
    return read_cursor(number, field) if number else None


class EventServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the live feed."""

    auth: AuthServices
    feed: Feed
    feed_shares: Shares


def _read_run(text: str, field: str) -> RunKey:
    name, slash, run_id = text.partition("/")
    if not name or not slash or not run_id or "\0" in text:
        raise BadRequestError(f"{field}: {shorten(text)} is not a run; write DAG name, slash and run id")
    if run_id == LATEST:
        raise BadRequestError(
            f"{field}: 'latest' changes with each new run; give the id of a run, or use dag for all runs of a DAG"
        )
    return name, run_id


async def _read_outputs(access: Access, caller: Caller, texts: list[str]) -> set[RunKey]:
    """Read the runs whose output is asked for; those that the caller does not see are left out, as if they had none."""
    if len(texts) > _MAX_OUTPUTS:
        raise BadRequestError(f"output: has {len(texts)} runs; give at most {_MAX_OUTPUTS}")
    found = {_read_run(text, "output") for text in texts}
    if caller.sight:
        return {run for run in found if await access.role_for_name(run[0], caller) is not None}
    return found


class EventsController(Controller):
    path = "/events"
    dependencies = provide_services(EventServices, position=provide_position)

    @get(
        operation_id="streamEvents",
        requires=Requires.READ,
        narrowed=True,
        repeated=("output",),
        media_type=EVENT_STREAM,
        responses={200: _TEXT, **errors()},
    )
    async def stream_events(
        self,
        request: ApiRequest,
        services: NamedDependency[EventServices],
        position: NamedDependency[FeedCursor | None],
        dag: parameters.ByDag = None,
        run: parameters.ByRun = None,
        output: parameters.OutputOf = None,
    ) -> EventStream:
        """Stream changes as they happen: all, or those of one DAG or one run.

        ``output`` adds the growth of the output of runs, which ``run`` includes.

        ``Last-Event-ID``, else ``after``, resumes after an event; an event ``reset`` says that some later events have
        been deleted, so the client must read its data again.
        """
        sight = request.user.sight
        outputs = await _read_outputs(services.auth.access, request.user, output or [])
        followed = _read_run(run, "run") if run else None
        if followed is not None:
            outputs.add(followed)
            if sight:
                await services.auth.access.require_name(followed[0], "run", request.user)
        filter_ = FeedFilter(dag=dag or None, run=followed, outputs=frozenset(outputs), sight=sight)
        with ExitStack() as stack:
            stack.enter_context(services.feed_shares.hold(request.user))
            subscription = await services.feed.subscribe(filter_, position)
            stack.callback(services.feed.unsubscribe, subscription)
            credentials = credentials_of(request)
            events = stream(
                services.feed,
                subscription,
                lambda: is_still_authorized(services.auth, credentials, Requires.READ, sight),
            )
            return EventStream(events, stack.pop_all().close)


class RunEventServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the events of runs."""

    database: Database
    zone: ZoneInfo


def _read(connection: ReadConnection, zone: tzinfo, run: RunRow, after: int, limit: int) -> RunEvents:
    rows = run_history.find_events(connection, run.id, after, limit + 1)
    page = rows[:limit]
    names = run_history.find_node_names(connection, run.id, {row.attempt for row in page}) if page else {}
    found = RunEvents(events=[run_event(row, names, zone) for row in page])
    if len(rows) > limit:
        found.next = page[-1].seq
    return found


class RunEventsController(Controller):
    path = "/dag-runs/{name:str}/{dagRunId:str}"
    dependencies = provide_services(RunEventServices)

    @get("/events", operation_id="listDAGRunEvents", requires=Requires.READ, responses=errors(404))
    async def list_run_events(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[RunEventServices],
        after: parameters.AfterNumber = 0,
        limit: parameters.PageLimit = 100,
    ) -> RunEvents:
        """List the events of a run and its steps over all attempts, in order, after the event ``after``."""
        return await services.database.read(
            lambda connection: _read(connection, services.zone, find_run(connection, name, dag_run_id), after, limit)
        )

    @get(
        "/sub-dag-runs/{subDAGRunId:str}/events",
        operation_id="listSubDAGRunEvents",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def list_sub_run_events(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        services: NamedDependency[RunEventServices],
        after: parameters.AfterNumber = 0,
        limit: parameters.PageLimit = 100,
    ) -> RunEvents:
        """List the events of a sub-run, as listDAGRunEvents does."""

        def read(connection: ReadConnection) -> RunEvents:
            return _read(
                connection,
                services.zone,
                find_sub_run(connection, sub_run_key.name, sub_run_key.root, sub_run_key.sub_run),
                after,
                limit,
            )

        return await services.database.read(read)
