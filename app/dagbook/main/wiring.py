"""Assembly of a server from settings; nothing is started here."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from dagbook.accounts.auth_setup import make_auth_services
from dagbook.accounts.oidc import Oidc
from dagbook.alerts.delivery import Deliverer
from dagbook.alerts.senders import Sender, read_mail_server
from dagbook.alerts.watch.heartbeat import Heartbeat
from dagbook.alerts.watch.loop import Watch
from dagbook.api.middleware.local_user import LocalUserMiddleware
from dagbook.api.middleware.remote_nodes import RemoteNodes
from dagbook.api.services import AppServices
from dagbook.batches.bulk import BulkActions
from dagbook.batches.feeder import BatchFeeder
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.repositories.services import SERVER, WORKER
from dagbook.db.url import sqlite_path
from dagbook.egress.rules import Egress
from dagbook.engine.admission import QueueConfig, WorkerAccess
from dagbook.executors.contract import SshPolicy
from dagbook.main.services import RunParts, make_services
from dagbook.maintenance.audit.audit_sealing import AuditSealer
from dagbook.maintenance.change_pruning import ChangePruner
from dagbook.queues.dispatcher import Dispatcher
from dagbook.queues.queue_loop import QueueNotifier
from dagbook.queues.service import dequeue
from dagbook.queues.worker.transport import WorkerTransport, is_installed, make_transport
from dagbook.runs.output.spool_identity import open_spool
from dagbook.runs.recovery.supervisor import Supervisor
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.server_context import HostEnvironment, ServerContext, ServerIdentity
from dagbook.runs.service.scheduled_runs import ScheduledRuns
from dagbook.runs.store.new_run import check_start
from dagbook.runs.store.recorder import Recorder
from dagbook.runs.sub_runs import open_runs
from dagbook.scheduling.scheduler import Scheduler
from dagbook.scheduling.ticker import Ticker
from dagbook.settings import Settings
from dagbook.sources.loop import SourceLoops
from dagbook.spec.reading.definition_cache import DefinitionCache, InThread
from dagbook.spec.reading.load import Loaded
from dagbook.telemetry.metrics import MetricsPage, RequestMetrics, RunMetrics
from dagbook.triggers.dispatch import TriggerDispatcher
from dagbook.triggers.looks.loop import Looks
from dagbook.unix.files import make_private, make_private_folder

if TYPE_CHECKING:
    from litestar.types import ASGIApp

ENQUEUE_ONLY = "enqueue"  # enqueues runs and starts none
ACCEPT_NEW = "accept-new"  # of ssh_strict_host_key


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """An assembled server: its application, made on first use, and its background services."""

    make_app: Callable[[], ASGIApp]
    base_path: str
    services: AppServices
    supervisor: Supervisor
    dispatcher: Dispatcher
    nodes: RemoteNodes
    audit_sealer: AuditSealer
    change_pruner: ChangePruner
    scheduler: Scheduler
    source_loops: SourceLoops
    queue_notifier: QueueNotifier
    recorder: Recorder
    deliverer: Deliverer
    watch: Watch
    heartbeat: Heartbeat
    triggers: TriggerDispatcher
    batches: BatchFeeder
    looks: Looks
    transport: WorkerTransport
    encrypter: Encrypter

    @property
    def app(self) -> ASGIApp:
        """The application for network clients."""
        return self.make_app()

    def app_for(self, user: str) -> ASGIApp:
        """Return the application for commands of a local user."""
        return LocalUserMiddleware(self.make_app(), self.base_path, user)


def _in_a_thread() -> InThread:
    """Run one parsing at a time, since the GIL admits no two, without collections of garbage.

    While a mebibyte of text is parsed there are a million objects, and a collection would hold the GIL for a quarter
    of a second. Nearly all of them are gone when it ends.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="parse")

    def work(parse: Callable[[], Loaded]) -> Loaded:
        was_on = gc.isenabled()
        gc.disable()
        try:
            return parse()
        finally:
            if was_on:
                gc.enable()

    async def run(parse: Callable[[], Loaded]) -> Loaded:
        return await asyncio.get_running_loop().run_in_executor(thread, work, parse)

    return run


def make_run_parts(
    settings: Settings, database: Database, identity: ServerIdentity, registry: CollectorRegistry
) -> RunParts:
    library = DefinitionCache(_in_a_thread())
    context = _server_context(settings, identity, RunMetrics(registry))
    recorder = Recorder(database, identity.id, check_start, context.queues)
    supervisor = Supervisor(open_runs(database, recorder, library, context), library)
    queue_notifier = QueueNotifier(database, supervisor.active_runs.changed, context.queues)
    return RunParts(
        library=library, context=context, recorder=recorder, supervisor=supervisor, queue_notifier=queue_notifier
    )


def build(
    settings: Settings,
    database: Database,
    identity: ServerIdentity,
    provider: Oidc | None = None,
    *,
    snapshot: str = "",
) -> Server:
    """Assemble a server; nothing is started. One for a ``snapshot`` of that name refuses to change anything."""
    registry = CollectorRegistry()
    run_parts = make_run_parts(settings, database, identity, registry)
    supervisor, context = run_parts.supervisor, run_parts.context
    active_runs = supervisor.active_runs
    access = make_auth_services(settings, database, provider)
    services = make_services(settings, database, run_parts, access, MetricsPage(registry), snapshot)
    scheduled = ScheduledRuns(database, services.runs.run_service, active_runs, now)
    ticker = Ticker(database, services.dags.timetable, scheduled, now)
    nodes = RemoteNodes(settings.remote_nodes, Egress(settings.egress_deny))
    transport = make_transport(settings.database_url, settings.database_schema)
    sender = Sender(
        services.alerts.channels,
        context.machine.egress,
        partial(read_mail_server, context.read_base_config, context.machine.environ),
        context.zone,
    )
    return Server(
        make_app=cache(partial(_make_app, settings, services, nodes, RequestMetrics(registry))),
        base_path=settings.base_path,
        services=services,
        supervisor=supervisor,
        dispatcher=Dispatcher(database, active_runs, active_runs.changed, context.queues, transport),
        queue_notifier=run_parts.queue_notifier,
        recorder=run_parts.recorder,
        deliverer=Deliverer(database, sender, active_runs.mailer, context),
        watch=Watch(database, services.dags.timetable, now),
        heartbeat=Heartbeat(database, services.dags.timetable, sender, now),
        triggers=TriggerDispatcher(
            database, services.runs.run_service, context.metrics, now, queues_enabled=services.runs.queues.enabled
        ),
        batches=BatchFeeder(
            database,
            services.runs.run_service,
            services.runs.reruns,
            BulkActions(database, supervisor, dequeue, now),
            now,
            queues_enabled=services.runs.queues.enabled,
        ),
        looks=Looks(database, services.triggers.triggers, identity, now),
        transport=transport,
        encrypter=context.encrypter,
        nodes=nodes,
        audit_sealer=AuditSealer(database, context.encrypter, now),
        change_pruner=ChangePruner(database, settings.changes_retention_seconds, now),
        source_loops=SourceLoops(services.dags.sources, settings.source_fetch_seconds),
        scheduler=Scheduler(database, ticker, scheduled, identity, now, supervisor.wake),
    )


def _make_app(settings: Settings, services: AppServices, nodes: RemoteNodes, traffic: RequestMetrics) -> ASGIApp:
    # The web framework is a third of all imports: without it the first step of `dagbook run` starts earlier.
    from dagbook.main.http import make_application  # noqa: PLC0415

    return make_application(settings, services, nodes, traffic)


def _queue_config(settings: Settings, kind: str) -> QueueConfig:
    if sqlite_path(settings.database_url) is not None:
        workers = WorkerAccess.SQLITE
    else:
        workers = WorkerAccess.REACHABLE if is_installed() else WorkerAccess.NO_EXTRA
    return QueueConfig(
        # A process that runs one file serves no queue, so its runs must not be queued.
        enabled=settings.queues_enabled and kind in (SERVER, ENQUEUE_ONLY, WORKER),
        limits=settings.queues,
        ignore_selectors=settings.ignore_worker_selector,
        workers=workers,
    )


def _ssh_policy(settings: Settings) -> SshPolicy:
    chosen = settings.ssh_strict_host_key
    return SshPolicy(
        strict={"true": True, "false": False}.get(chosen),
        accept_new=chosen == ACCEPT_NEW,
        known_hosts=str(settings.ssh_known_hosts or ""),
    )


def _server_context(settings: Settings, identity: ServerIdentity, metrics: RunMetrics) -> ServerContext:
    for directory in (settings.spool_dir, settings.work_dir):
        make_private_folder(directory)
    spool = settings.spool_dir
    make_private(spool)
    return ServerContext(
        identity=replace(identity, spool_id=open_spool(spool), spool_dir=str(spool)),
        machine=HostEnvironment.current(settings),
        spool=spool,
        work_dir=settings.work_dir,
        base_config=settings.base_config,
        log_limit=settings.log_limit_bytes,
        evaluation_limit_seconds=settings.evaluation_timeout_seconds,
        evaluate_caller_values=settings.evaluate_caller_values,
        has_users=settings.auth_mode == "builtin",
        lease_seconds=settings.lease_seconds,
        detached_lease_seconds=settings.detach_lease_seconds,
        orphan_grace_seconds=settings.orphan_grace_seconds,
        queues=_queue_config(settings, identity.kind),
        zone=settings.tz,
        public_url=settings.public_url or settings.auth_oidc_client_url,
        now=now,
        encrypter=Encrypter(settings.secret_key, settings.home, settings.secret_keys_previous),
        ssh_policy=_ssh_policy(settings),
        metrics=metrics,
    )
