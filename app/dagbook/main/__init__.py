"""Composition root: lifecycle of servers, workers and offline commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto
from functools import partial
from itertools import count
from typing import TypeVar

import msgspec
from prometheus_client import CollectorRegistry

from dagbook import __version__
from dagbook.accounts.auth_setup import check_strength, find_provider, requires_authentication
from dagbook.alerts import delivery
from dagbook.alerts.configured import Configuration, Configured, read_channels, read_rules
from dagbook.api.middleware.host_check import is_loopback
from dagbook.auth.audit_context import Actor
from dagbook.clock import now
from dagbook.db.database import ALERTS, TRIGGERS, Database
from dagbook.db.repositories.services import SERVER, WORKER
from dagbook.db.repositories.sources import NewSource
from dagbook.engine.admission import Labels
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import API_PATH
from dagbook.main.host_keys import move_host_keys
from dagbook.main.wiring import ENQUEUE_ONLY, Server, build, make_run_parts
from dagbook.queues.worker.loop import OFFERS, WorkerLoop
from dagbook.queues.worker.transport import CHANNEL, make_transport
from dagbook.runs.recovery.hold import HELD, Holding
from dagbook.runs.recovery.ownership import identify
from dagbook.runs.recovery.supervisor import Supervisor
from dagbook.runs.secrets.encryption import warn_of_other_keys
from dagbook.runs.server_context import ServerIdentity
from dagbook.settings import Settings, SettingsError
from dagbook.settings.alerts import AlertEntry
from dagbook.sources.places import check_source
from dagbook.sources.signatures import check_secret
from dagbook.triggers import dispatch
from dagbook.unix import unix_accounts
from dagbook.unix.unix_accounts import AccountError

__all__ = [
    "API_PATH",
    "Driving",
    "Server",
    "WorkerOptions",
    "check_exposure",
    "drive",
    "is_for_this_machine",
    "is_open_to_all",
    "open_enqueue_only",
    "open_offline",
    "open_server",
    "open_snapshot",
    "open_worker",
    "wait_for_resume",
]


_opened = count()
_SETTINGS = Actor(via="settings")
T = TypeVar("T")
_LEFT_ALONE = "this server was started with --leave-runs and starts nothing; start it again without the option"


def check_exposure(settings: Settings) -> None:
    """Raise SettingsError if other machines can connect without authentication, or by guessing a credential."""
    if is_for_this_machine(settings):
        return
    check_strength(settings)
    if requires_authentication(settings) or settings.insecure:
        return
    raise SettingsError(
        "host",
        settings.origins["host"],
        f"{settings.host} can be reached from other machines, and without authentication anyone there could run "
        "commands here; set auth_mode to builtin (users with passwords) or give auth_token a value, "
        "or listen on 127.0.0.1 or a socket behind a proxy that authenticates, with insecure: true; "
        "--insecure turns this check off",
    )


def is_for_this_machine(settings: Settings) -> bool:
    """Whether only processes of this machine can connect."""
    return settings.socket is not None or is_loopback(settings.host)


def is_open_to_all(settings: Settings) -> bool:
    """Whether other machines, at least through a proxy, can run commands here because of ``--insecure``."""
    return settings.insecure and not requires_authentication(settings)


class Driving(Enum):
    """When a server takes over, starts and schedules runs; not before the end of a hold."""

    AT_ONCE = auto()  # when it is open, all orphaned runs are taken over
    LATER = auto()  # from ``drive`` on: the server answers before that
    NEVER = auto()


def check_account(settings: Settings) -> None:
    """Raise SettingsError if commands cannot run under the account of ``run_as``, or it can enter the home."""
    if settings.run_as:
        try:
            unix_accounts.require_closed(settings.run_as, settings.home)
        except AccountError as error:
            raise SettingsError("run_as", settings.origins["run_as"], error.reason) from error


def find_sources(settings: Settings) -> dict[str, tuple[NewSource, str]]:
    """Return the sources of the setting by name, each with the secret of its hook; raises SettingsError."""
    found = {}
    for one in settings.sources:
        values = {name: value for name, value in msgspec.structs.asdict(one).items() if name != "hook_secret"}
        values |= {"branch": one.branch or None, "credentials": str(one.credentials) if one.credentials else None}
        try:
            source = check_source(NewSource(**values, kind="", configured=True), settings.source_protocols)
            check_secret(str(one.hook_secret), "hook_secret")
        except BadRequestError as error:
            raise SettingsError("sources", settings.origins["sources"], f"{one.name}: {error}") from error
        found[one.name] = (source, str(one.hook_secret))
    return found


def find_alerts(settings: Settings, kind: str) -> Configured:
    """Return the channels and rules of the settings, each valid; raises SettingsError.

    A setting that is left out is an empty one for a server, and says nothing for a command: of another machine, it may
    know the database and not the settings of its servers.
    """

    def read(name: str, entries: Sequence[AlertEntry], read_all: Callable[[Sequence[AlertEntry]], T]) -> T | None:
        if settings.origins[name] == "default" and kind != SERVER:
            return None
        try:
            return read_all(entries)
        except BadRequestError as error:
            raise SettingsError(name, settings.origins[name], error.message) from error

    return Configured(
        channels=read("alert_channels", settings.alert_channels, read_channels),
        rules=read("alert_rules", settings.alert_rules, read_rules),
    )


async def _configure_alerts(settings: Settings, server: Server, configured: Configured) -> None:
    services = server.services.alerts
    try:
        await Configuration(services.database, services.channels, _SETTINGS, now).apply(configured)
    except (BadRequestError, NotFoundError) as error:
        raise SettingsError("alert_rules", settings.origins["alert_rules"], error.message) from error


@asynccontextmanager
async def open_server(
    settings: Settings, kind: str, address: str, driving: Driving = Driving.AT_ONCE
) -> AsyncIterator[Server]:
    """Open the database and start the background services; on exit, stop them in order and detach runs."""
    if driving is not Driving.NEVER:
        check_account(settings)
    find_sources(settings)  # before anything is opened
    configured, provider = find_alerts(settings, kind), await find_provider(settings)
    database = await Database.open(settings.database_url, schema=settings.database_schema)
    try:
        server = build(settings, database, _identify(kind, address), provider)
        if kind == SERVER:
            await warn_of_other_keys(database, server.encrypter)
        await move_host_keys(settings, database)
        if driving is not Driving.NEVER:
            await _configure_alerts(settings, server, configured)
        await server.change_pruner.initialise()
        held = HELD if await server.services.system.holding.read() else ""
        await server.supervisor.start(refusal=_LEFT_ALONE if driving is Driving.NEVER else held)
        server.services.system.resources.start()
        if kind == SERVER:
            server.audit_sealer.start()
            if server.services.system.audit_copy is not None:
                server.services.system.audit_copy.start()
        server.services.system.feed.start()
        server.change_pruner.start()
        try:
            if driving is not Driving.LATER:
                await drive(settings, server, kind, driving)
            yield server
        finally:
            await server.services.system.holding.stop()
            await _stop_driving(server)
            await server.services.system.resources.stop()
            try:
                await server.supervisor.stop()
                await server.queue_notifier.notify()
            finally:
                await server.deliverer.stop(
                    drains=kind != SERVER
                )  # a command may be all that runs here for a long time
                await server.services.system.feed.stop()
                await server.change_pruner.stop()
                await server.audit_sealer.stop()
                if server.services.system.audit_copy is not None:
                    await server.services.system.audit_copy.stop()
                await server.nodes.close()
                await server.transport.close()
    finally:
        await database.close()


async def drive(settings: Settings, server: Server, kind: str = SERVER, driving: Driving = Driving.LATER) -> None:
    """Let a server take over, start and schedule runs; returns before it has any, unless it drives ``AT_ONCE``.

    While the database is held, it does so at the end of the hold. With ``NEVER`` it follows the hold only to show it.
    """
    if await server.services.system.holding.read() is not None:
        server.services.system.holding.follow(partial(drive, settings, server, kind, driving))
        return
    if driving is Driving.NEVER:
        return
    server.supervisor.drive()  # without a pause since the hold was read, which ``holding.row`` shows
    if driving is Driving.AT_ONCE:
        await server.supervisor.run_once()
    else:
        server.supervisor.wake()
    await _start_driving(settings, server, kind)


async def _start_driving(settings: Settings, server: Server, kind: str) -> None:
    server.dispatcher.start()
    server.queue_notifier.start()
    server.deliverer.start()
    if kind == SERVER:
        server.services.dags.retention.start()
        if settings.origins["sources"] != "default":
            await server.services.dags.sources.configure(find_sources(settings), _SETTINGS)
        server.source_loops.start()
        if settings.scheduler_enabled:
            await server.scheduler.start()
        server.watch.start()
        server.heartbeat.start()
        server.triggers.start()
        server.batches.start()
        server.looks.start()


async def _stop_driving(server: Server) -> None:
    await server.source_loops.stop()
    await server.scheduler.stop()
    await server.watch.stop()
    await server.heartbeat.stop()
    await server.looks.stop()
    await server.triggers.stop()
    await server.batches.stop()
    await server.services.dags.retention.stop()
    await server.queue_notifier.stop()
    await server.dispatcher.stop()


def _identify(kind: str, address: str) -> ServerIdentity:
    """Return the identity of this process; one that reopens the database later gets another id as an owner."""
    identity, number = identify(kind, address, __version__), next(_opened)
    return msgspec.structs.replace(identity, id=f"{identity.id}-{number}") if number else identity


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Name, labels and capacity (concurrent runs) of a worker."""

    name: str
    labels: Labels
    capacity: int


@asynccontextmanager
async def open_worker(settings: Settings, options: WorkerOptions) -> AsyncIterator[Supervisor]:
    """Open the database and start a worker, which adopts runs that servers offer; on exit, stop it and detach runs."""
    check_account(settings)
    database = await Database.open(settings.database_url, schema=settings.database_schema)
    transport = make_transport(settings.database_url, settings.database_schema)
    try:
        identity = msgspec.structs.replace(identify(WORKER, "", __version__), **msgspec.structs.asdict(options))
        run_parts = make_run_parts(settings, database, identity, CollectorRegistry())
        supervisor, queue_notifier = run_parts.supervisor, run_parts.queue_notifier
        active_runs = supervisor.active_runs
        worker_loop = WorkerLoop(
            transport, active_runs, active_runs.changed, queue_notifier, options.labels, options.capacity
        )
        await warn_of_other_keys(database, run_parts.context.encrypter, seals=False)
        await move_host_keys(settings, database)
        await supervisor.start()
        supervisor.drive()
        await supervisor.run_once()
        worker_loop.start()
        if database.notifications is not None:
            notify = database.notifications.notify
            database.notifications.listen(CHANNEL, lambda: active_runs.changed.notify(OFFERS))
            # Servers route the events of alerts, and start those of triggers, that this worker stores.
            database.on_commit(lambda changed: notify(delivery.NOTIFICATION) if ALERTS in changed else None)
            database.on_commit(lambda changed: notify(dispatch.NOTIFICATION) if TRIGGERS in changed else None)
        try:
            yield supervisor
        finally:
            if database.notifications is not None:
                await database.notifications.unlisten(CHANNEL)
            await worker_loop.stop()
            await supervisor.stop()
            await queue_notifier.notify()
    finally:
        await transport.close()
        await database.close()


async def wait_for_resume(settings: Settings) -> None:
    """Return when the database is not held."""
    database = await Database.open(settings.database_url, schema=settings.database_schema, pool_size=1)
    try:
        await Holding(database, now).wait()
    finally:
        await database.close()


@asynccontextmanager
async def open_offline(settings: Settings, kind: str) -> AsyncIterator[Server]:
    """Open the database for work other than runs: no run is started or adopted."""
    database = await Database.open(settings.database_url, schema=settings.database_schema)
    try:
        server = build(settings, database, identify(kind, "", __version__))
        try:
            yield server
        finally:
            await server.services.dags.sources.close()
    finally:
        await database.close()


@asynccontextmanager
async def open_snapshot(settings: Settings, name: str) -> AsyncIterator[Server]:
    """Open a snapshot file to read it: nothing is started, and every write to it fails."""
    database = await Database.open(settings.database_url, read_only=True)
    try:
        yield build(settings, database, identify(SERVER, "", __version__), snapshot=name)
    finally:
        await database.close()


@asynccontextmanager
async def open_enqueue_only(settings: Settings) -> AsyncIterator[Server]:
    """Open the database to enqueue runs and to change queues: no run is started or adopted."""
    configured = find_alerts(settings, ENQUEUE_ONLY)
    async with open_offline(settings, ENQUEUE_ONLY) as server:
        await _configure_alerts(settings, server, configured)
        server.recorder.start()
        try:
            yield server
        finally:
            await server.recorder.stop()
            await server.queue_notifier.notify()
