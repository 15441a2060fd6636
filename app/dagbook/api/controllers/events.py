"""The live feed (extension of the contract): changes as server-sent events."""

from __future__ import annotations

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from dagbook.accounts.auth_setup import AuthServices
from dagbook.api.auth.guards import credentials_of, is_still_authorized
from dagbook.api.live.event_stream import EVENT_STREAM, EventStream, stream
from dagbook.api.live.feed import Feed
from dagbook.api.live.sse import read_cursor
from dagbook.api.live.subscription import FeedFilter
from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.providers import provide_services
from dagbook.api.requests import ApiRequest
from dagbook.auth.roles import Requires
from dagbook.errors import BadRequestError
from dagbook.identifiers import LATEST, shorten

_TEXT = ResponseSpec(
    str,
    generate_examples=False,
    media_type=EVENT_STREAM,
    description="Events: ready or reset first, then run, dag, queue and log; see docs/api-extensions.md",
)


class EventServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the live feed."""

    auth: AuthServices
    feed: Feed


def _read_run(text: str) -> tuple[str, str]:
    name, slash, run_id = text.partition("/")
    if not name or not slash or not run_id or "\0" in text:
        raise BadRequestError(f"run: {shorten(text)} is not a run; write DAG name, slash and run id")
    if run_id == LATEST:
        raise BadRequestError(
            "run: 'latest' changes with each new run; give the id of a run, or use dag for all runs of a DAG"
        )
    return name, run_id


class EventsController(Controller):
    path = "/events"
    dependencies = provide_services(EventServices)

    @get(
        operation_id="streamEvents",
        requires=Requires.READ,
        media_type=EVENT_STREAM,
        responses={200: _TEXT, **errors()},
    )
    async def stream_events(
        self,
        request: ApiRequest,
        services: NamedDependency[EventServices],
        after: parameters.After = None,
        last_event_id: parameters.LastEventId = None,
        dag: parameters.ByDag = None,
        run: parameters.ByRun = None,
    ) -> EventStream:
        """Stream changes as they happen: all, or those of one DAG or one run.

        ``Last-Event-ID``, else ``after``, resumes after an event; an event ``reset`` says that some later events have
        been deleted, so the client must read its data again.
        """
        filter_ = FeedFilter(dag=dag or None, run=_read_run(run) if run else None)
        field, number = ("Last-Event-ID", last_event_id) if last_event_id else ("after", after)
        cursor = read_cursor(number, field) if number else None
        subscription = await services.feed.subscribe(filter_, cursor)
        credentials = credentials_of(request)
        events = stream(
            services.feed, subscription, lambda: is_still_authorized(services.auth, credentials, Requires.READ)
        )
        return EventStream(events, lambda: services.feed.unsubscribe(subscription))
