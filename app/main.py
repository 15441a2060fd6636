"""The composition root: settings become parts, and parts become a server. Nothing else wires."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
from litestar import Litestar, Response, Router
from litestar.config.cors import CORSConfig
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp
from prometheus_client import CollectorRegistry

from app import __version__
from app.api import errors
from app.api.controllers import (
    audit,
    auth,
    dag_history,
    dag_list,
    dag_outlook,
    dags,
    events,
    health,
    log_pieces,
    log_search,
    monitoring,
    oidc,
    queue_order,
    queues,
    reruns,
    retention,
    revisions,
    run_events,
    runs,
    schedules,
    schemas,
    services,
    sub_runs,
    tokens,
    upkeep,
    users,
)
from app.api.deps import Parts
from app.api.envelope import Envelope
from app.api.feed import Feed
from app.api.forwarding import make_forward
from app.api.guards import find_actions, find_needs, make_guard
from app.api.imports import hidden
from app.api.log_search import LogSearch
from app.api.memory import Memory
from app.api.methods import make_options
from app.api.next_runs import NextRuns
from app.api.providers import make_providers
from app.api.proxies import TrustedProxies
from app.api.refusals import make_note_of_handing_on, make_refusal_hook
from app.api.remote_nodes import Nodes
from app.api.requests import DOCUMENT, ApiRequest, only_document
from app.api.security import Gatekeeper, is_loopback, is_unspecified
from app.api.slashes import SlashesInNames, restore
from app.api.totals import Totals as RunTotals
from app.auth.roles import Needs
from app.clock import now
from app.db.database import Database
from app.db.repositories.services import SERVER, WORKER
from app.definitions.revisions import Revisions
from app.definitions.save import Definitions
from app.definitions.search import Search
from app.definitions.settings import SettingsOfDags
from app.definitions.timetable import Timetable
from app.engine.admission import Labels, Queues
from app.people.access import asks_who_calls, find_provider, make_access, with_users
from app.people.oidc import Oidc
from app.queue.bell import Bell
from app.queue.carrier import Carrier
from app.queue.dequeue import Waiting
from app.queue.dispatcher import Dispatcher
from app.queue.order import Order
from app.queue.pickup import OFFERS, Pickup
from app.queue.remote import CHANNEL, make_carrier
from app.runs.ground import Ground, Identity, Machine
from app.runs.guard import guard
from app.runs.launch import Launcher
from app.runs.recorder import Recorder
from app.runs.rerun import Reruns
from app.runs.sealing import Sealer
from app.runs.supervisor import Supervisor, identify
from app.runs.sweep import Sweep
from app.runs.timely import TimelyRuns
from app.scheduling.scheduler import Scheduler
from app.scheduling.tick import Ticker
from app.settings import Settings, SettingsError
from app.spec.library import Library
from app.telemetry.metrics import MetricsPage
from app.telemetry.resources import ResourceSampler, machine_now
from app.telemetry.run_figures import RunFigures
from app.telemetry.traffic import Traffic
from app.upkeep.audit_pruning import AuditPruning
from app.upkeep.audit_sealing import AuditSealer
from app.upkeep.changes import Forgetting
from app.upkeep.doctor import Doctor
from app.upkeep.limits import Said, Totals
from app.upkeep.policies import Defaults, Policies
from app.upkeep.retention import Retention
from app.upkeep.set_limits import DagLimits
from app.web import pages

API_PATH = "/api/v2"
_SERVER = SERVER
_CLERK = "clerk"  # lets runs wait, and begins none
# A stream is looked at again and again, whether it may go on, and no other node knows who listens here.
_OWN_HANDLERS = [*auth.HANDLERS, *users.HANDLERS, *tokens.HANDLERS, *events.HANDLERS]
_DAG_HANDLERS = [
    *dags.HANDLERS,
    *dag_list.HANDLERS,
    *dag_history.HANDLERS,
    *dag_outlook.HANDLERS,
    *revisions.HANDLERS,
    schemas.get_schema,
]
_SCHEDULE_HANDLERS = schedules.HANDLERS
_SYSTEM_HANDLERS = [
    health.get_health,
    *monitoring.HANDLERS,
    *services.HANDLERS,
    *audit.HANDLERS,
    *upkeep.HANDLERS,
    *retention.HANDLERS,
]
_RUN_HANDLERS = [
    *runs.HANDLERS,
    *queues.HANDLERS,
    *queue_order.HANDLERS,
    *reruns.HANDLERS,
    *run_events.HANDLERS,
    *log_pieces.HANDLERS,
    *log_search.HANDLERS,
    *sub_runs.HANDLERS,
]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is ready to answer: its application, and what lives behind it."""

    app: ASGIApp
    parts: Parts
    supervisor: Supervisor
    dispatcher: Dispatcher
    nodes: Nodes
    audit_sealer: AuditSealer
    forgetting: Forgetting
    scheduler: Scheduler
    bell: Bell
    recorder: Recorder
    carrier: Carrier


def check_exposure(settings: Settings) -> None:
    """Refuse to let everybody on other machines in, for runs are commands; raises SettingsError."""
    if is_loopback(settings.host) or asks_who_calls(settings) or settings.insecure:
        return
    raise SettingsError(
        "host",
        settings.origins["host"],
        f"{settings.host} can be reached from other machines, and without authentication anyone there could run "
        "commands here; set auth_mode to builtin (users with passwords) or give auth_token a value, "
        "or listen on 127.0.0.1 behind a proxy that authenticates; --insecure serves everybody all the same",
    )


def is_open_to_all(settings: Settings) -> bool:
    """Whether everybody on other machines may run commands here, for somebody insisted."""
    return settings.insecure and not is_loopback(settings.host) and not asks_who_calls(settings)


@asynccontextmanager
async def open_server(settings: Settings, kind: str, address: str, local_token: str = "") -> AsyncIterator[Server]:
    """Open the database and start what runs in the background; on leaving, let go of everything in order.

    Who sends ``local_token`` may do everything: it is for those who can read what belongs to the server's own user.
    """
    provider = await find_provider(settings)
    database = await Database.open(settings.database_url)
    try:
        server = build(settings, database, identify(kind, address, __version__), local_token, provider)
        await server.forgetting.begin()
        await server.supervisor.start()
        server.parts.resources.start()
        server.dispatcher.start()
        server.bell.start()
        if kind == _SERVER:
            server.audit_sealer.start()
            server.parts.retention.start()
        server.parts.feed.start()
        server.forgetting.start()
        if settings.scheduler_enabled and kind == _SERVER:
            await server.scheduler.start()
        try:
            yield server
        finally:
            await server.scheduler.stop()
            await server.parts.retention.stop()
            await server.bell.stop()
            await server.dispatcher.stop()
            await server.parts.resources.stop()
            try:
                await server.supervisor.stop()
                await server.bell.ring()
            finally:
                await server.parts.feed.stop()
                await server.forgetting.stop()
                await server.audit_sealer.stop()
                await server.nodes.close()
                await server.carrier.close()
    finally:
        await database.close()


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is: what it is called, its labels, and how many runs it takes at a time."""

    name: str
    labels: Labels
    capacity: int


@asynccontextmanager
async def open_worker(settings: Settings, traits: Traits) -> AsyncIterator[None]:
    """Take up runs that servers offer to workers; on leaving, let go of everything in order."""
    database = await Database.open(settings.database_url)
    carrier = make_carrier(settings.database_url)
    try:
        identity = msgspec.structs.replace(identify(WORKER, "", __version__), **msgspec.structs.asdict(traits))
        supervisor, bell = _drivers_of_worker(settings, database, identity)
        pickup = Pickup(carrier, supervisor, supervisor.changed, bell, traits.labels, traits.capacity)
        await supervisor.start()
        pickup.start()
        if database.wakeups is not None:
            database.wakeups.hear(CHANNEL, lambda: supervisor.changed.tell(OFFERS))
        try:
            yield
        finally:
            if database.wakeups is not None:
                await database.wakeups.leave(CHANNEL)
            await pickup.stop()
            await supervisor.stop()
            await bell.ring()
    finally:
        await carrier.close()
        await database.close()


def _drivers_of_worker(settings: Settings, database: Database, identity: Identity) -> tuple[Supervisor, Bell]:
    library = Library()
    ground = _ground(settings, identity, RunFigures(CollectorRegistry()))
    recorder = Recorder(database, identity.id, guard, ground.queues)
    supervisor = Supervisor(database, recorder, Sweep(database, library, ground), library, ground)
    return supervisor, Bell(database, supervisor.changed, ground.queues)


@asynccontextmanager
async def open_idle(settings: Settings, kind: str, local_token: str) -> AsyncIterator[Server]:
    """Open the database for work that has nothing to do with runs: none is taken up."""
    database = await Database.open(settings.database_url)
    try:
        yield build(settings, database, identify(kind, "", __version__), local_token)
    finally:
        await database.close()


@asynccontextmanager
async def open_clerk(settings: Settings, local_token: str) -> AsyncIterator[Server]:
    """Open the database to let runs wait in queues and to change these: none is taken up or begun here."""
    async with open_idle(settings, _CLERK, local_token) as server:
        server.recorder.start()
        try:
            yield server
        finally:
            await server.recorder.stop()
            await server.bell.ring()


def open_for_people(settings: Settings, local_token: str) -> AbstractAsyncContextManager[Server]:
    """Open the database for work on users and tokens alone."""
    return open_idle(with_users(settings), "people", local_token)


def build(
    settings: Settings, database: Database, identity: Identity, local_token: str = "", provider: Oidc | None = None
) -> Server:
    """Wire the parts of a server; nothing is started."""
    library = Library()
    registry = CollectorRegistry()
    ground = _ground(settings, identity, RunFigures(registry))
    recorder = Recorder(database, identity.id, guard, ground.queues)
    sweep = Sweep(database, library, ground)
    supervisor = Supervisor(database, recorder, sweep, library, ground)
    launcher = Launcher(database, library, ground, supervisor)
    definitions = Definitions(database, library, now)
    timetable = Timetable(database, settings.tz)
    timely = TimelyRuns(database, launcher, supervisor, now)
    parts = Parts(
        database=database,
        library=library,
        launcher=launcher,
        reruns=Reruns(database, supervisor, now),
        definitions=definitions,
        revisions=Revisions(database, library, definitions, now),
        search=Search(database),
        waiting=Waiting(database, supervisor.changed, ground.queues, now),
        audit_pruning=AuditPruning(database, now),
        order=Order(database, supervisor.changed, now),
        queues=ground.queues,
        totals=RunTotals(database),
        next_runs=NextRuns(settings.tz),
        timetable=timetable,
        dag_settings=SettingsOfDags(database, now),
        metrics_page=MetricsPage(registry),
        resources=_resources(settings),
        access=make_access(settings, database, local_token, provider),
        feed=Feed(database, settings.event_streams),
        log_search=LogSearch(database),
        doctor=Doctor(database, settings.orphan_grace_seconds, now),
        retention=_retention(settings, database, library, ground),
        dag_limits=DagLimits(database, now),
        zone=settings.tz,
        now=now,
        version=__version__,
    )
    nodes = Nodes(settings.remote_nodes)
    carrier = make_carrier(settings.database_url)
    return Server(
        app=_application(settings, parts, nodes, Traffic(registry)),
        parts=parts,
        supervisor=supervisor,
        dispatcher=Dispatcher(database, supervisor, supervisor.changed, ground.queues, carrier),
        bell=Bell(database, supervisor.changed, ground.queues),
        recorder=recorder,
        carrier=carrier,
        nodes=nodes,
        audit_sealer=AuditSealer(database, ground.sealer, now),
        forgetting=Forgetting(database, settings.changes_retention_seconds, now),
        scheduler=Scheduler(
            database, Ticker(database, timetable, timely, now), timely, identity, now, supervisor.hurry
        ),
    )


def _retention(settings: Settings, database: Database, library: Library, ground: Ground) -> Retention:
    said = Said(days=settings.retention_days, runs=settings.retention_runs, log_bytes=settings.retention_bytes)
    totals = Said(runs=settings.retention_total_runs, log_bytes=settings.retention_total_bytes).limits
    defaults = Defaults(said=said, totals=Totals(runs=totals.runs, log_bytes=totals.log_bytes))
    policies = Policies(database, library, ground.base_text, defaults)
    return Retention(database, policies, now, settings.retention_interval_seconds)


def _resources(settings: Settings) -> ResourceSampler:
    return ResourceSampler(
        lambda: machine_now(settings.home), settings.monitoring_interval_seconds, settings.monitoring_retention_seconds
    )


def _ground(settings: Settings, identity: Identity, figures: RunFigures) -> Ground:
    for directory in (settings.spool_dir, settings.work_dir):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Ground(
        identity=identity,
        machine=Machine.here(settings.default_shell),
        spool=settings.spool_dir,
        work_dir=settings.work_dir,
        base_config=settings.base_config,
        log_limit=settings.log_limit_bytes,
        evaluation_limit_seconds=settings.evaluation_timeout_seconds,
        lease_seconds=settings.lease_seconds,
        detached_lease_seconds=settings.detach_lease_seconds,
        orphan_grace_seconds=settings.orphan_grace_seconds,
        # A process that runs one file serves no queue, so nothing may wait there.
        queues=Queues(
            enabled=settings.queues_enabled and identity.kind in (_SERVER, _CLERK, WORKER), limits=settings.queues
        ),
        zone=settings.tz,
        now=now,
        sealer=Sealer(settings.secret_key, settings.home),
        figures=figures,
    )


def _application(settings: Settings, parts: Parts, nodes: Nodes, traffic: Traffic) -> ASGIApp:
    path = settings.base_path + API_PATH
    # Litestar loads pydantic when it is there: 8 MiB and 40 ms for nothing, for every schema here is a msgspec struct.
    with hidden("pydantic"):
        app = _litestar(settings, parts, nodes, path)
    find_needs(app)
    find_actions(app)
    own = () if is_unspecified(settings.host) else (settings.host,)
    # Inside: it tells answers apart by their paths, in which a name's slash is not one between segments any more.
    remembering = Memory(app, parts.database, parts.access, parts.now)
    routed = SlashesInNames(remembering, path)
    kept = Gatekeeper(routed, allowed_hosts=(*settings.allowed_hosts, *own), allowed_origins=settings.cors_origins)
    whole = Envelope(kept, traffic, log=settings.request_log, varies=bool(settings.cors_origins))
    return TrustedProxies(whole, settings.trusted_proxies) if settings.trusted_proxies else whole


def _litestar(settings: Settings, parts: Parts, nodes: Nodes, path: str) -> Litestar:
    handed_on = [*_SYSTEM_HANDLERS, *_DAG_HANDLERS, *_RUN_HANDLERS, *_SCHEDULE_HANDLERS]
    return Litestar(
        [
            Router(
                path,
                route_handlers=[make_options(handed_on), *handed_on],
                before_request=make_forward(nodes, path, make_note_of_handing_on(parts.access.refusals)),
            ),
            Router(path, route_handlers=[make_options(_OWN_HANDLERS), *_OWN_HANDLERS]),
            Router(settings.base_path or "/", route_handlers=_page_handlers(settings), include_in_schema=False),
        ],
        middleware=[restore],
        guards=[make_guard(parts.access)],
        after_exception=[make_refusal_hook(parts.access.refusals)],
        dependencies=make_providers(parts),
        exception_handlers={**errors.HANDLERS, NotFoundException: _missing_page(settings, path)},
        openapi_config=_openapi(path),
        cors_config=_cors(settings),
        request_class=ApiRequest,
        request_max_body_size=settings.max_body_bytes,
        logging_config=None,
    )


def _page_handlers(settings: Settings) -> list[HTTPRouteHandler]:
    return [*oidc.HANDLERS, *pages.make_handlers(settings.base_path, _facts(settings))]


def _facts(settings: Settings) -> dict[str, Any]:
    """Collect what the scripts of the web UI have to know before they ask the API anything."""
    return {
        "version": __version__,
        "login": "builtin" if settings.auth_mode == "builtin" else "token" if settings.auth_token else "",
        "runs": settings.permissions_run_dags,
        "writes": settings.permissions_write_dags,
        "zone": str(settings.tz),
    }


def _missing_page(settings: Settings, api: str) -> Callable[[pages.AnyRequest, NotFoundException], Response[Any]]:
    """Answer who asks for a page that is not there with a page, and everybody else with an error."""

    def answer(request: pages.AnyRequest, error: NotFoundException) -> Response[Any]:
        if pages.wants_page(request) and not request.url.path.startswith(api):
            return pages.document(settings.base_path, _facts(settings), status=404)
        return errors.http_error(request, error)

    return answer


def _openapi(path: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Dagbook",
        version=__version__,
        openapi_router=Router(
            path + DOCUMENT,
            route_handlers=[],
            include_in_schema=False,
            before_request=only_document,
            opt={"needs": Needs.READ},
        ),
        render_plugins=[JsonRenderPlugin(path="/")],
    )


def _cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=[
            "Content-Type",
            "Authorization",
            "Content-Encoding",
            "Accept",
            "If-Match",
            "Last-Event-ID",
            "X-Request-Id",
        ],
        expose_headers=["ETag", "X-Request-Id", "Retry-After"],
        max_age=300,
    )
