"""Assembly of a server from settings; nothing is started here."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry

from dagbook import __version__
from dagbook.accounts.auth_setup import AuthServices, make_auth_services
from dagbook.accounts.oidc import Oidc
from dagbook.api.live.feed import Feed
from dagbook.api.middleware.local_user import LocalUserMiddleware
from dagbook.api.middleware.remote_nodes import RemoteNodes
from dagbook.api.services import AppServices
from dagbook.api.shares import SEARCHES, SEARCHES_OF_CALLER, TEXTS, TEXTS_OF_CALLER, Shares
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.repositories.services import SERVER, WORKER
from dagbook.db.sqlite.upgrade_copies import UpgradeCopy, remove_copies
from dagbook.db.url import sqlite_path
from dagbook.definitions.next_starts import NextStartCache
from dagbook.definitions.queries import Search
from dagbook.definitions.revisions import Revisions
from dagbook.definitions.service import DagSettingsService, Definitions
from dagbook.definitions.timetable import Timetable
from dagbook.egress.rules import Egress
from dagbook.engine.admission import QueueConfig, WorkerAccess
from dagbook.executors.contract import SshPolicy
from dagbook.logs.search import LogSearch
from dagbook.maintenance.audit.audit_copy import AuditCopy
from dagbook.maintenance.audit.audit_pruning import AuditPruning
from dagbook.maintenance.audit.audit_sealing import AuditSealer
from dagbook.maintenance.change_pruning import ChangePruner
from dagbook.maintenance.doctor import Doctor
from dagbook.maintenance.retention.dag_retention import DagRetentionService
from dagbook.maintenance.retention.limits import RetentionSettings, TotalLimits
from dagbook.maintenance.retention.policies import Defaults, Policies
from dagbook.maintenance.retention.retention import Retention
from dagbook.queues.dispatcher import Dispatcher
from dagbook.queues.queue_loop import QueueNotifier
from dagbook.queues.service import DequeueService, QueueService
from dagbook.queues.worker.transport import WorkerTransport, is_installed, make_transport
from dagbook.runs.output.spool_identity import open_spool
from dagbook.runs.queries import RunTotals
from dagbook.runs.recovery.hold import Holding
from dagbook.runs.recovery.supervisor import Supervisor
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.server_context import HostEnvironment, ServerContext, ServerIdentity
from dagbook.runs.service.approvals import ApprovalService
from dagbook.runs.service.retry import RerunService
from dagbook.runs.service.run_service import RunService
from dagbook.runs.service.scheduled_runs import ScheduledRuns
from dagbook.runs.store.new_run import check_start
from dagbook.runs.store.recorder import Recorder
from dagbook.runs.sub_runs import open_runs
from dagbook.scheduling.scheduler import Scheduler
from dagbook.scheduling.ticker import Ticker
from dagbook.settings import Settings
from dagbook.sources.loop import SourceLoops
from dagbook.sources.service import Sources
from dagbook.sources.sync import SourceSettings
from dagbook.spec.reading.definition_cache import DefinitionCache, InThread
from dagbook.spec.reading.load import Loaded
from dagbook.telemetry.metrics import MetricsPage, RequestMetrics, RunMetrics
from dagbook.telemetry.resources import ResourceSampler, machine_now
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
    transport: WorkerTransport
    encrypter: Encrypter

    @property
    def app(self) -> ASGIApp:
        """The application for network clients."""
        return self.make_app()

    def app_for(self, user: str) -> ASGIApp:
        """Return the application for commands of a local user."""
        return LocalUserMiddleware(self.make_app(), self.base_path, user)


class RunParts(msgspec.Struct, frozen=True, kw_only=True):
    """Services that execute runs, in a server and in a worker."""

    library: DefinitionCache
    context: ServerContext
    recorder: Recorder
    supervisor: Supervisor
    queue_notifier: QueueNotifier


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
    services = _services(settings, database, run_parts, access, MetricsPage(registry), snapshot)
    scheduled = ScheduledRuns(database, services.run_service, active_runs, now)
    ticker = Ticker(database, services.timetable, scheduled, now)
    nodes = RemoteNodes(settings.remote_nodes, Egress(settings.egress_deny))
    transport = make_transport(settings.database_url, settings.database_schema)
    return Server(
        make_app=cache(partial(_make_app, settings, services, nodes, RequestMetrics(registry))),
        base_path=settings.base_path,
        services=services,
        supervisor=supervisor,
        dispatcher=Dispatcher(database, active_runs, active_runs.changed, context.queues, transport),
        queue_notifier=run_parts.queue_notifier,
        recorder=run_parts.recorder,
        transport=transport,
        encrypter=context.encrypter,
        nodes=nodes,
        audit_sealer=AuditSealer(database, context.encrypter, now),
        change_pruner=ChangePruner(database, settings.changes_retention_seconds, now),
        source_loops=SourceLoops(services.sources, settings.source_fetch_seconds),
        scheduler=Scheduler(database, ticker, scheduled, identity, now, supervisor.wake),
    )


def _make_app(settings: Settings, services: AppServices, nodes: RemoteNodes, traffic: RequestMetrics) -> ASGIApp:
    # The web framework is a third of all imports: without it the first step of `dagbook run` starts earlier.
    from dagbook.main.http import make_application  # noqa: PLC0415

    return make_application(settings, services, nodes, traffic)


def _services(
    settings: Settings,
    database: Database,
    run_parts: RunParts,
    access: AuthServices,
    metrics_page: MetricsPage,
    snapshot: str,
) -> AppServices:
    library, context, supervisor = run_parts.library, run_parts.context, run_parts.supervisor
    active_runs = supervisor.active_runs
    of_sources = SourceSettings(
        directory=settings.source_dir, protocols=settings.source_protocols, remove_days=settings.source_remove_days
    )
    sources = Sources(database, library, now, of_sources, context.encrypter)
    definitions = Definitions(database, library, now, sources.write_file, context.queues.limits)
    # A command may enqueue runs although its own context has no queues: a server will start them.
    queues = msgspec.structs.replace(context.queues, enabled=settings.queues_enabled)
    return AppServices(
        database=database,
        library=library,
        run_service=RunService(database, library, msgspec.structs.replace(context, queues=queues), supervisor),
        reruns=RerunService(database, library, active_runs, now),
        approvals=ApprovalService(database, active_runs, now),
        definitions=definitions,
        sources=sources,
        revisions=Revisions(database, library, definitions, now),
        search=Search(database),
        dequeue_service=DequeueService(database, active_runs.changed, queues, now),
        audit_copy=AuditCopy(database, settings.audit_copy) if settings.audit_copy else None,
        audit_pruning=AuditPruning(database, context.encrypter, now, settings.audit_keep_days),
        queue_service=QueueService(database, active_runs.changed, now),
        queues=queues,
        run_totals=RunTotals(database),
        next_runs=NextStartCache(settings.tz),
        timetable=Timetable(database, settings.tz),
        dag_settings=DagSettingsService(database, now, settings.home, settings.run_as),
        metrics_page=metrics_page,
        resources=ResourceSampler(
            partial(machine_now, settings.home),
            settings.monitoring_interval_seconds,
            settings.monitoring_retention_seconds,
        ),
        auth=access,
        feed=Feed(database, settings.event_streams, settings.queues),
        feed_shares=Shares("live feeds", settings.event_streams_per_caller, retry_seconds=10),
        log_search=LogSearch(database),
        text_shares=Shares("long texts to be read", TEXTS_OF_CALLER, TEXTS, retry_seconds=5),
        search_shares=Shares("searches", SEARCHES_OF_CALLER, SEARCHES, retry_seconds=5),
        holding=Holding(database, now),
        snapshot=snapshot,
        doctor=Doctor(database, settings.orphan_grace_seconds, now),
        retention=_retention(settings, database, library, context),
        dag_retention=DagRetentionService(database, now),
        zone=settings.tz,
        saves_without_if_match=settings.bare_saves,
        now=now,
        version=__version__,
    )


def _retention(settings: Settings, database: Database, library: DefinitionCache, context: ServerContext) -> Retention:
    per_dag = RetentionSettings(
        days=settings.retention_days, runs=settings.retention_runs, log_bytes=settings.retention_bytes
    )
    totals = RetentionSettings(runs=settings.retention_total_runs, log_bytes=settings.retention_total_bytes).limits
    defaults = Defaults(settings=per_dag, totals=TotalLimits(runs=totals.runs, log_bytes=totals.log_bytes))
    policies = Policies(database, library, context.read_base_config, defaults)
    path, days = sqlite_path(settings.database_url), settings.upgrade_copy_days

    def remove_expired() -> list[UpgradeCopy]:
        return [] if path is None or days < 0 else remove_copies(path, days, now())

    return Retention(database, policies, now, settings.retention_interval_seconds, remove_expired)


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
        identity=msgspec.structs.replace(identity, spool_id=open_spool(spool), spool_dir=str(spool)),
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
        encrypter=Encrypter(settings.secret_key, settings.home),
        ssh_policy=_ssh_policy(settings),
        metrics=metrics,
    )
