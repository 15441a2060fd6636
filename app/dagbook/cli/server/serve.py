"""``dagbook serve``: the server, until a signal stops it; its TLS is checked before."""

from __future__ import annotations

import gc
import logging
import socket
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop

from dagbook.accounts.auth_setup import check_authentication, choose_mode, find_warnings, requires_authentication
from dagbook.cli.commands import COORDINATOR, DAGS, PEER, LocalOptions
from dagbook.cli.local import lock_for_server
from dagbook.cli.local_server import serving_commands
from dagbook.cli.output import echo
from dagbook.cli.server.listener import open_listener, server_address
from dagbook.cli.server.shutdown import StopSignals
from dagbook.cli.settings import current_settings, warn_about_unused, warn_of_evaluation, with_settings
from dagbook.db.migrations.upgrade import upgrade
from dagbook.db.url import hide_password
from dagbook.errors import BadRequestError
from dagbook.main import (
    Driving,
    Server,
    check_exposure,
    drive,
    is_for_this_machine,
    is_open_to_all,
    open_server,
    open_snapshot,
)
from dagbook.maintenance.backup.files import BackupError
from dagbook.maintenance.backup.snapshot import check_snapshot
from dagbook.runs.recovery.hold import HELD
from dagbook.server.http_server import make_http_server
from dagbook.settings import TABLE, Settings, SettingsError
from dagbook.settings.definitions import REMOVED
from dagbook.settings.open_files import find_open_files
from dagbook.telemetry.logging import configure
from dagbook.unix.descriptors import raise_limit

if TYPE_CHECKING:
    from dagbook.cli.server.demo import Demo

_BACKLOG = 2048


@click.command(cls=LocalOptions, example="dagbook serve --port 8080")
@click.option(
    "--leave-runs",
    is_flag=True,
    help="Serve the API, but take over, start, queue and schedule no run: for runs that end the server.",
)
@click.option(
    "--demo",
    is_flag=True,
    help="Serve eight example DAGs, in a temporary home that is deleted at the end. With --home, DAGBOOK_HOME or a "
    "database address: in that home, whose database gets those that are missing, unless it has other DAGs.",
)
@click.option(
    "--snapshot",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Show a file of `dagbook snapshot` instead of the database; nothing can be changed or started.",
)
@with_settings(
    *(setting.name for setting in TABLE if setting.name != "home"), *REMOVED, ignored=(*COORDINATOR, *PEER, *DAGS)
)
def serve(*, leave_runs: bool, demo: bool, snapshot: Path | None) -> None:
    """Serve API, web UI, schedules and queues until SIGINT or SIGTERM; running steps continue without it.

    The next server adopts them. In a terminal its log has no line for each request, unless request_log is set.
    """
    if demo and snapshot is not None:
        raise click.UsageError("--demo and --snapshot show different databases; give one of them")
    driving = Driving.NEVER if leave_runs else Driving.LATER
    if not demo:
        _serve_settings(current_settings(), driving, snapshot=snapshot)
        return
    from dagbook.cli.server.demo import open_demo  # noqa: PLC0415 - other servers do not need it

    with open_demo() as opened:
        _serve_settings(opened.settings, driving, opened)


def _serve_settings(
    settings: Settings, driving: Driving, demo: Demo | None = None, snapshot: Path | None = None
) -> None:
    settings = choose_mode(settings)
    if snapshot is not None:
        # There are no accounts in it; a token of the settings is asked for as usual.
        switches = {"permissions_run_dags": False, "permissions_write_dags": False}
        settings = settings.replace(auth_mode="none", **switches)
    check_exposure(settings)
    check_authentication(settings)
    tls = load_tls(settings)
    warn_about_unused(settings)
    configure(settings.log_format, settings.log_level)
    if sys.stderr.isatty() and settings.log_format == "text" and settings.origins["request_log"] == "default":
        # A person reads it: each page of the web UI would be a dozen lines, between which the warnings are lost.
        settings = settings.replace(request_log="off")
    # Its start and stop are logged here; its warnings would be a line for each request of a stranger that is not HTTP.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    _warn(settings)
    raise_limit()
    if snapshot is not None:
        uvloop.run(_serve_snapshot(settings, tls, snapshot.absolute()))
        return
    uvloop.run(_serve(settings, tls, driving, demo))


async def _serve(settings: Settings, tls: ssl.SSLContext | None, driving: Driving, demo: Demo | None) -> None:
    with open_listener(settings) as listener:
        address = server_address(settings, listener)
        async with lock_for_server(settings, address) as lock:
            await upgrade(settings.database_url, schema=settings.database_schema)
            async with open_server(settings, "server", address, driving) as server:
                await _prepare_users(settings, server)
                if demo is not None:
                    await demo.add_examples(server)
                server.make_app()  # now, so that its modules are excluded from garbage collection, too
                # Loaded modules stay, and scanning them repeatedly costs time.
                gc.collect()
                gc.freeze()
                listener.listen(_BACKLOG)  # a reader of the next line may connect at once, before the loop accepts
                host, database = socket.gethostname(), hide_password(settings.database_url)
                async with serving_commands(server, lock):
                    is_open = settings.origins["auth_mode"] == "default" and not requires_authentication(settings)
                    if is_open and demo is None:
                        echo(_NO_MODE, err=True)
                    echo(f"Dagbook serves {address} on host {host} with {database}", err=True)
                    if driving is Driving.NEVER:
                        echo("It leaves runs alone: it takes over, starts and schedules none", err=True)
                    elif server.services.system.holding.row is not None:
                        echo(f"HELD: {HELD}", fg="red", bold=True, err=True)
                    if demo is not None:
                        demo.describe(address)
                    begin = partial(drive, settings, server) if driving is Driving.LATER else None
                    await _serve_http(server, settings, listener, tls, begin)


async def _serve_http(
    server: Server,
    settings: Settings,
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    when_started: Callable[[], Awaitable[None]] | None,
) -> None:
    """Serve until a signal ends it."""
    web = make_http_server(server.app, settings, tls, when_started)

    def stop() -> None:
        web.should_exit = True
        server.services.system.feed.close()  # its responses would never end

    signals = StopSignals(stop)
    signals.is_patient = lambda: server.supervisor.is_patient
    signals.install()
    await web.serve(sockets=[listener])


async def _serve_snapshot(settings: Settings, tls: ssl.SSLContext | None, file: Path) -> None:
    try:
        check_snapshot(file)
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    # A home of its own: nothing of this machine's is shown, or written to.
    with open_listener(settings) as listener, tempfile.TemporaryDirectory(prefix="dagbook-snapshot-") as name:
        home = Path(name)
        places = {"spool_dir": home / "spool", "work_dir": home / "work", "base_config": home / "base.yaml"}
        none = {"source_dir": home / "sources", "sources": (), "remote_nodes": (), "audit_copy": None}
        own = settings.replace(home=home, database_url=f"sqlite:///{file}", **places, **none)
        async with open_snapshot(own, file.name) as server:
            server.make_app()
            listener.listen(_BACKLOG)
            echo(f"Dagbook serves {server_address(settings, listener)} with the snapshot {file}, read-only", err=True)
            await _serve_http(server, own, listener, tls, None)


_NO_MODE = (
    "There is no login, so each program of this machine may run commands here: set auth_mode to builtin (users and "
    "passwords), or to none, which keeps it so without this line"
)


def _warn(settings: Settings) -> None:
    if is_open_to_all(settings):
        way = "a proxy of this machine" if is_for_this_machine(settings) else settings.host
        risk = f"EVERYONE who can reach {way} can run commands on this machine as this user"
        echo(f"Warning: {risk}: there is no authentication", fg="red", bold=True, err=True)
    warn_of_evaluation(settings)
    for warning in (*find_warnings(settings), *find_open_files(settings)):
        echo(f"Warning: {warning}", fg="red", bold=True, err=True)


async def _prepare_users(settings: Settings, server: Server) -> None:
    """Create the first user if there is none; a generated password is printed here and nowhere else.

    Without authentication only warn of users, who are locked out while everyone else is let in.
    """
    users, name = server.services.accounts.auth.users, settings.auth_admin_username
    if not server.services.accounts.auth.has_users:
        if not requires_authentication(settings) and await users.count():
            echo(f"Warning: {_USERS_WITHOUT_LOGIN}", fg="red", bold=True, err=True)
        return
    try:
        password = await users.create_first_admin(name, settings.auth_admin_password)
    except BadRequestError as error:
        raise click.ClickException(f"the first admin cannot be created: {error.message}") from error
    if password is not None:
        line = "=" * 72
        echo(f"{line}\nThe first user is {name!r}, an admin, with the password\n\n    {password}\n")
        echo(f"This is shown once. Change it with `dagbook users passwd {name}`.\n{line}")


_USERS_WITHOUT_LOGIN = (
    "the database has users, but auth_mode is none: without a login, everyone who reaches this server is an admin; "
    "auth_mode: builtin in dagbook.yaml asks for it, whatever the environment of the server is"
)
_CERT, _KEY = "tls_cert_file", "tls_key_file"
_BEGIN = "-----BEGIN CERTIFICATE-----"
_MAX_PASSWORD = 1024


def load_tls(settings: Settings) -> ssl.SSLContext | None:
    """Read certificate and key; None when neither is set. Raises SettingsError, which names the file at fault."""
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is None and key is None:
        return None
    if settings.socket is not None:
        raise _error(settings, "socket", "has no TLS; leave out tls_cert_file and tls_key_file, or socket")
    if certificate is None or key is None:
        missing, given = (_CERT, _KEY) if certificate is None else (_KEY, _CERT)
        raise _error(settings, missing, f"is missing, while {given} is given; give both or none")
    _read(settings, _CERT, certificate, _BEGIN)
    _read(settings, _KEY, key, "-----BEGIN ")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_chain(settings, context, certificate, key)
    return context


def _read(settings: Settings, name: str, path: Path, mark: str) -> None:
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise _error(settings, name, f"{path} cannot be read: {error.strerror}") from error
    if mark not in text:
        raise _error(settings, name, f"{path} is not PEM: no line in it begins with {mark.strip()}")


def _load_chain(settings: Settings, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    # With a password at hand, even an empty one, OpenSSL does not ask for it in the terminal.
    password = settings.tls_key_password[:_MAX_PASSWORD]
    try:
        context.load_cert_chain(certificate, key, password=lambda: password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _error(settings, _KEY, f"{key} is not the key of the certificate in {certificate}") from error
        raise _error(settings, *_unusable_file(certificate, key, password)) from error


def _unusable_file(certificate: Path, key: Path, password: str) -> tuple[str, str]:
    """Return the setting at fault and its problem, which OpenSSL does not report."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        return _CERT, f"{certificate} contains no usable certificate"
    if "ENCRYPTED" not in key.read_text(encoding="latin-1"):
        return _KEY, f"{key} contains no usable private key"
    if password:
        return "tls_key_password", f"is not the password of {key}"
    return "tls_key_password", f"is missing, and {key} is encrypted"


def _error(settings: Settings, name: str, problem: str) -> SettingsError:
    return SettingsError(name, settings.origins[name], problem)
