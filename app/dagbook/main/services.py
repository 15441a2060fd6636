"""Assembly of the services of an application from settings."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import msgspec
from msgspec.structs import asdict, replace

from dagbook import __version__
from dagbook.accounts.auth_setup import AuthServices
from dagbook.alerts.channels import Channels
from dagbook.alerts.rules import Rules
from dagbook.alerts.service import AlertService
from dagbook.api.limits import make_limits
from dagbook.api.live.feed import Feed
from dagbook.api.services import (
    AccountServices,
    AlertServices,
    AppServices,
    BatchServices,
    DagServices,
    OverviewServices,
    QueueServices,
    RunServices,
    SystemServices,
    TriggerServices,
)
from dagbook.batches.service import Batches
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.repositories.alerts import channels as channel_rows
from dagbook.db.single_flight import SingleFlight
from dagbook.db.sqlite.upgrade_copies import UpgradeCopy, remove_copies
from dagbook.db.url import sqlite_path
from dagbook.definitions.revisions import Revisions
from dagbook.definitions.search import Search
from dagbook.definitions.service import Definitions
from dagbook.definitions.settings import DagSettingsService
from dagbook.definitions.timetable import Timetable
from dagbook.identifiers import API_PATH
from dagbook.logs.search import LogSearch
from dagbook.maintenance.audit.audit_copy import AuditCopy
from dagbook.maintenance.audit.audit_pruning import AuditPruning
from dagbook.maintenance.doctor import Doctor
from dagbook.maintenance.retention.dag_retention import DagRetentionService
from dagbook.maintenance.retention.limits import RetentionSettings, TotalLimits
from dagbook.maintenance.retention.policies import Defaults, Policies
from dagbook.maintenance.retention.retention import Kept, Retention
from dagbook.queues.pausing import Pausing
from dagbook.queues.queue_loop import QueueNotifier
from dagbook.queues.service import DequeueService, QueueService
from dagbook.runs.queries import RunTotals
from dagbook.runs.recovery.hold import Holding
from dagbook.runs.recovery.supervisor import Supervisor
from dagbook.runs.secrets.rekey import Rekeying
from dagbook.runs.server_context import ServerContext
from dagbook.runs.service.approvals import ApprovalService
from dagbook.runs.service.retry import RerunService
from dagbook.runs.service.run_service import RunService
from dagbook.runs.store.recorder import Recorder
from dagbook.settings import Settings
from dagbook.sources.service import Sources
from dagbook.sources.sync import SourceSettings
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.telemetry.metrics import MetricsPage
from dagbook.telemetry.resources import ResourceSampler, machine_now
from dagbook.triggers.inbox import Inbox
from dagbook.triggers.intake import Intake
from dagbook.triggers.looks.looker import Looker
from dagbook.triggers.service import Triggers


class RunParts(msgspec.Struct, frozen=True, kw_only=True):
    """Services that execute runs, in a server and in a worker."""

    library: DefinitionCache
    context: ServerContext
    recorder: Recorder
    supervisor: Supervisor
    queue_notifier: QueueNotifier


def make_services(
    settings: Settings,
    database: Database,
    run_parts: RunParts,
    access: AuthServices,
    metrics_page: MetricsPage,
    snapshot: str,
) -> AppServices:
    accounts = AccountServices(database=database, auth=access, zone=settings.tz, now=now)
    runs = _run_services(settings, run_parts, accounts)
    dags = _dag_services(settings, run_parts, runs)
    system = _system_services(settings, run_parts, dags, metrics_page, snapshot)
    return AppServices(
        accounts=accounts,
        runs=runs,
        dags=dags,
        queues=QueueServices(
            **asdict(runs),
            dequeue_service=DequeueService(database, run_parts.supervisor.active_runs.changed, runs.queues, now),
            queue_service=QueueService(database, run_parts.supervisor.active_runs.changed, now),
        ),
        overview=OverviewServices(
            **asdict(accounts),
            library=dags.library,
            queues=dags.queues,
            resources=system.resources,
            sources=dags.sources,
        ),
        alerts=_alert_services(run_parts, runs),
        triggers=_trigger_services(settings, run_parts, runs),
        batches=BatchServices(
            **asdict(accounts),
            batches=Batches(
                accounts.database,
                runs.run_service,
                run_parts.supervisor.active_runs,
                now,
                settings.tz,
                queues_enabled=runs.queues.enabled,
            ),
        ),
        system=system,
    )


def _run_services(settings: Settings, run_parts: RunParts, accounts: AccountServices) -> RunServices:
    database, library = accounts.database, run_parts.library
    context, supervisor = run_parts.context, run_parts.supervisor
    active_runs = supervisor.active_runs
    # A command may enqueue runs although its own context has no queues: a server will start them.
    queues = replace(context.queues, enabled=settings.queues_enabled)
    return RunServices(
        **asdict(accounts),
        library=library,
        queues=queues,
        limits=make_limits(settings.event_streams_per_caller),
        run_service=RunService(database, library, replace(context, queues=queues), supervisor),
        reruns=RerunService(database, library, active_runs, now),
        approvals=ApprovalService(database, active_runs, now),
        log_search=LogSearch(database),
    )


def _dag_services(settings: Settings, run_parts: RunParts, runs: RunServices) -> DagServices:
    database, library, context = runs.database, run_parts.library, run_parts.context
    of_sources = SourceSettings(
        directory=settings.source_dir, protocols=settings.source_protocols, remove_days=settings.source_remove_days
    )
    sources = Sources(database, library, now, of_sources, context.encrypter)
    definitions = Definitions(database, library, now, sources.write_file, context.queues.limits)
    return DagServices(
        **asdict(runs),
        definitions=definitions,
        revisions=Revisions(database, library, definitions, now),
        search=Search(database),
        timetable=Timetable(database, settings.tz),
        dag_settings=DagSettingsService(database, now, settings.home, settings.run_as),
        retention=_retention(settings, database, library, context),
        dag_retention=DagRetentionService(database, now),
        sources=sources,
        saves_without_if_match=settings.bare_saves,
    )


def _alert_services(run_parts: RunParts, runs: RunServices) -> AlertServices:
    database = runs.database
    channels, rules = Channels(database, run_parts.context.encrypter, now), Rules(database, now)
    return AlertServices(
        database=database,
        auth=runs.auth,
        zone=runs.zone,
        now=now,
        library=runs.library,
        queues=runs.queues,
        channels=channels,
        rules=rules,
        alerts=AlertService(database, channels, rules, now),
        read_base=run_parts.context.read_base_config,
    )


def _trigger_services(settings: Settings, run_parts: RunParts, runs: RunServices) -> TriggerServices:
    context = run_parts.context
    looker = Looker(context.machine, context.ssh_policy, context.identity.host)
    triggers = Triggers(runs.database, context.encrypter, context.metrics, now, settings.max_body_bytes, looker)
    return TriggerServices(
        database=runs.database,
        auth=runs.auth,
        zone=runs.zone,
        now=now,
        library=runs.library,
        queues=runs.queues,
        triggers=triggers,
        intake=Intake(runs.database, triggers, context.metrics, now),
        inbox=Inbox(runs.database, runs.run_service, context.metrics, now),
        hooks=f"{context.page_base or settings.base_path}{API_PATH}/hooks",
    )


def _system_services(
    settings: Settings, run_parts: RunParts, dags: DagServices, metrics_page: MetricsPage, snapshot: str
) -> SystemServices:
    database = dags.database
    return SystemServices(
        database=database,
        auth=dags.auth,
        zone=dags.zone,
        now=now,
        limits=dags.limits,
        retention=dags.retention,
        audit_copy=AuditCopy(database, settings.audit_copy) if settings.audit_copy else None,
        audit_pruning=AuditPruning(database, run_parts.context.encrypter, now, settings.audit_keep_days),
        run_totals=RunTotals(database),
        metrics_page=metrics_page,
        resources=ResourceSampler(
            partial(machine_now, settings.home),
            settings.monitoring_interval_seconds,
            settings.monitoring_retention_seconds,
        ),
        feed=Feed(database, settings.event_streams, settings.queues),
        holding=Holding(database, now),
        pausing=Pausing(database, run_parts.supervisor.active_runs.changed, now),
        doctor=Doctor(
            database,
            settings.orphan_grace_seconds,
            now,
            settings.alert_keep_days,
            run_parts.context.encrypter.find_names,
        ),
        rekeying=Rekeying(database, run_parts.context.encrypter),
        failing_channels=SingleFlight(partial(database.read_inline, channel_rows.find_failing, shared_only=False)),
        snapshot=snapshot,
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

    kept = Kept(
        alerts=timedelta(days=settings.alert_keep_days),
        trigger_bodies=timedelta(days=settings.trigger_body_days),
        trigger_events=timedelta(days=settings.trigger_keep_days),
        # With the runs, but not before those who wait for its end have seen it.
        batches=timedelta(days=max(settings.retention_days, 1) if settings.retention_days >= 0 else 0),
    )
    return Retention(database, policies, now, settings.retention_interval_seconds, remove_expired, kept)
