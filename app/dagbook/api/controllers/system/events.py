"""The live feed of changes (extension of the contract)."""

from __future__ import annotations

from contextlib import ExitStack

from litestar import Controller
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from dagbook.accounts.access import Access
from dagbook.api.auth.guards import credentials_of, is_still_authorized
from dagbook.api.dependencies import provide_services
from dagbook.api.live.event_stream import EVENT_STREAM, EventStream, stream
from dagbook.api.live.sse import read_cursor
from dagbook.api.live.subscription import FeedFilter, RunKey
from dagbook.api.params import parameters
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import get, permission
from dagbook.api.services import SystemServices
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.db.repositories.changes import FeedCursor
from dagbook.errors import BadRequestError
from dagbook.identifiers import LATEST, shorten

Services = NamedDependency[SystemServices]

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
    if caller.visibility:
        return {run for run in found if await access.role_for_name(run[0], caller) is not None}
    return found


class EventsController(Controller):
    path = "/events"
    opt = permission(Requires.READ)
    dependencies = provide_services(SystemServices, position=provide_position)

    @get("", "streamEvents", responses={200: _TEXT}, narrowed=True, repeated=("output",), media_type=EVENT_STREAM)
    async def stream_events(
        self,
        request: ApiRequest,
        services: Services,
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
        visibility = request.user.visibility
        outputs = await _read_outputs(services.auth.access, request.user, output or [])
        followed = _read_run(run, "run") if run else None
        if followed is not None:
            outputs.add(followed)
            if visibility:
                await services.auth.access.require_name(followed[0], "run", request.user)
        filter_ = FeedFilter(dag=dag or None, run=followed, outputs=frozenset(outputs), visibility=visibility)
        with ExitStack() as stack:
            stack.enter_context(services.limits.feeds.use(request.user))
            subscription = await services.feed.subscribe(filter_, position)
            stack.callback(services.feed.unsubscribe, subscription)
            credentials = credentials_of(request)
            events = stream(
                services.feed,
                subscription,
                lambda: is_still_authorized(services.auth, credentials, Requires.READ, visibility),
            )
            return EventStream(events, stack.pop_all().close)
