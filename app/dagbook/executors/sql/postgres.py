"""The subprocess of a step of PostgreSQL: one connection, made with what its address says and nothing else."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import asyncpg
import msgspec
from asyncpg.prepared_stmt import PreparedStatement

from dagbook.egress.rules import Egress
from dagbook.executors.config import Config
from dagbook.executors.contract import Command, Job
from dagbook.executors.sql import options
from dagbook.executors.sql.rows import BATCH, RowWriter
from dagbook.executors.sql.statements import Statement
from dagbook.executors.subprocess_executor import ProgramError, run_program

_CONNECT_SECONDS, _CLOSE_SECONDS = 30, 5
_TLS = ("sslmode", "sslrootcert")
_KNOWN = ("host", "port", "user", "password", "dbname", *_TLS, "application_name")
_PAIR = r"(\w+)=('(?:\\.|[^'\\])*'|[^'\s]\S*|)(?:\s+|\Z)"
_FORMS = "write postgres://USER:PASSWORD@HOST:PORT/NAME, with %XX for special characters, or host=HOST user=USER …"
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SYNTAX_ERROR = "42601"
_TYPE_NAMES = "SELECT array_agg(format_type(oid, -1) ORDER BY n) FROM unnest($1::oid[]) WITH ORDINALITY AS t (oid, n)"


def command(job: Job) -> Command:
    """Make the command that carries out the statements of a job. Raises SetupError."""
    try:
        read_dsn(options.read(job).dsn)
    except ValueError as error:
        raise Config(job.config, job.type).error("dsn", str(error)) from None
    return options.command(__name__, job)


def read_dsn(text: str) -> dict[str, str]:
    """Read an address, a URL or pairs. Raises ValueError, without any part of it that may be a password."""
    if re.match(r"postgres(ql)?://", text):
        try:
            parts = urlsplit(text)
            given = {"host": parts.hostname, "port": str(parts.port or ""), "user": parts.username}
        except ValueError:
            raise ValueError(f"cannot be taken apart; {_FORMS}") from None
        # After a raw # / ? or @ the rest of a password would be taken for something else.
        if parts.fragment or "@" in parts.path or "@" in parts.query:
            raise ValueError(f"cannot be taken apart; {_FORMS}")
        given |= {"password": parts.password, "dbname": parts.path[1:]}
        found = {name: unquote(value) for name, value in given.items() if value} | dict(parse_qsl(parts.query))
    elif re.fullmatch(rf"({_PAIR})+", text):
        pairs = [(name, value[1:-1] if value[:1] == "'" else value) for name, value in re.findall(_PAIR, text)]
        found = {name: re.sub(r"\\(.)", r"\1", value) for name, value in pairs}
    else:
        raise ValueError(f"is not the address of a PostgreSQL database; {_FORMS}")
    if unknown := [name for name in found if name not in _KNOWN]:
        raise ValueError(f"has the option {unknown[0]!r}, which is not known; known are {', '.join(_KNOWN)}")
    if not found.get("host") or re.search(r"[/@,]", found["host"]) or not found.get("user"):
        raise ValueError(f"has to name one host, which is no socket, and a user; {_FORMS}")
    if not found.setdefault("port", "5432").isdecimal():
        raise ValueError("has a port that is not a number")
    return found


class _CheckedLoop(asyncio.SelectorEventLoop):
    """An event loop that resolves no name to a denied address: it connects to none but those that were checked."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        super().__init__()

    async def getaddrinfo(self, host: bytes | str | None, port: bytes | str | int | None, **options: int) -> Any:
        """Resolve a name. Raises ProgramError."""
        found = await super().getaddrinfo(host, port, **options)
        for *_, address in found:
            _refuse_if(self._egress.refusal_of_address(str(host), ip_address(address[0])))
        return found


def _refuse_if(refusal: str) -> None:
    if refusal:
        raise ProgramError(f"postgres: {refusal}")


def main(job: Job) -> int:
    """Carry out the statements of a job in one transaction; a signal cancels them before it ends this process."""
    stops: list[int] = []
    with asyncio.Runner(loop_factory=lambda: _CheckedLoop(job.egress)) as runner:
        try:
            runner.run(_main(job, stops))
        except asyncio.CancelledError:
            signal.signal(stops[0], signal.SIG_DFL)
            os.kill(os.getpid(), stops[0])
    return 0


async def _main(job: Job, stops: list[int]) -> None:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def stop(number: int) -> None:
        stops.append(number)
        if task is not None:
            task.cancel()

    for number in _STOPS:
        loop.add_signal_handler(number, stop, number)
    given, statements = options.read(job), options.statements(job)
    try:
        async with asyncio.timeout(given.timeout or None):
            connection = await _connect(read_dsn(given.dsn), job.egress)
            try:
                await _carry_out(connection, job, statements, RowWriter(given.form))
            finally:
                with suppress(TimeoutError):  # until a statement that has to be cancelled has ended
                    await connection.close(timeout=_CLOSE_SECONDS)
    except TimeoutError:
        raise given.took_too_long from None


async def _connect(address: dict[str, str], egress: Egress) -> asyncpg.Connection:
    """Connect to an address. Raises ProgramError, and TimeoutError if that takes too long."""
    _refuse_if(egress.refusal_of_host(address["host"]))  # a host that is an address is not resolved
    password = address.get("password") or os.environ.get("PGPASSWORD", "")
    # The driver would take what the address does not say from PG variables and from files in the account's home.
    os.environ.clear()
    os.environ["HOME"] = os.devnull
    try:
        connection = await asyncpg.connect(
            f"postgresql://?{urlencode({name: address[name] for name in _TLS if name in address})}",
            host=address["host"],
            port=int(address["port"]),
            user=address["user"],
            password=password,
            database=address.get("dbname") or address["user"],
            timeout=_CONNECT_SECONDS,
            statement_cache_size=0,
            server_settings={"application_name": address.get("application_name", "dagbook"), "DateStyle": "ISO"},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = str(error) or f"no answer within {_CONNECT_SECONDS} seconds"
        raise ProgramError(f"postgres: no connection to {address['host']}:{address['port']}: {reason}") from None
    connection.add_log_listener(lambda _, notice: sys.stderr.write(f"{notice.severity}: {notice.message}\n"))
    with suppress(asyncpg.PostgresError):  # before 14: a statement goes on for a while after this process was killed
        await connection.execute("SET client_connection_check_interval = '2s'")
    await _read_as_text(connection)
    return connection


async def _read_as_text(connection: asyncpg.Connection) -> None:
    """Read some types from the server's text: Python has no infinite dates and none before Christ, for example."""

    def as_time(text: str) -> str:
        return re.sub(r"(:\d\d(?:\.\d+)?[+-]\d\d)\Z", r"\1:00", re.sub(r"(?<=\d) (?=\d)", "T", text, count=1))

    def as_json(text: str) -> msgspec.Raw:
        return msgspec.Raw(text.replace("\n", " ").replace("\r", " ").encode())

    types = {"date": str, "time": str, "interval": str, "float4": float, "json": as_json, "jsonb": as_json}
    for name, decoder in (types | {"timestamp": as_time, "timestamptz": as_time}).items():
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=decoder, format="text")


async def _carry_out(connection: asyncpg.Connection, job: Job, statements: list[Statement], writer: RowWriter) -> None:
    for number, statement in enumerate(statements, 1):
        casts = [""] * len(statement.bound)
        try:
            if len(statements) > 1 and not connection.is_in_transaction() and statement.word not in ("BEGIN", "START"):
                await connection.execute("BEGIN")
            await _execute(connection, statement, casts, writer)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, UnicodeError) as error:
            position = getattr(error, "position", None)  # a text, from 1
            at = statement.find(int(position) - 1, _placeholders(casts)) if position else statement.start
            raise _explain(error, f"statement {number}, {options.place(job, at)}", has_values=bool(casts)) from None
    if connection.is_in_transaction():
        try:
            await connection.execute("COMMIT")
        except asyncpg.PostgresError as error:
            raise _explain(error, "at the commit") from None


def _explain(error: Exception, place: str, *, has_values: bool = False) -> ProgramError:
    state = getattr(error, "sqlstate", None)
    hint = "\na reference is a value, and cannot be a name or another part of a statement"
    return ProgramError(
        f"postgres: {place}: {f'SQLSTATE {state}: ' if state else ''}{error}"
        + hint * (has_values and state == _SYNTAX_ERROR)
    )


async def _execute(connection: asyncpg.Connection, statement: Statement, casts: list[str], writer: RowWriter) -> None:
    values = [piece.value or "" for piece in statement.bound]
    if statement.word == "COPY" and re.search(r"\bstd(in|out)\b", statement.render(values), re.IGNORECASE):
        raise ProgramError("postgres: COPY has no STDIN and STDOUT here; write INSERT, or SELECT with outputFormat")
    prepared = await _prepare(connection, statement, casts)
    if not prepared.get_attributes():  # alone it may be one that no transaction takes, such as VACUUM
        await prepared.fetch(*values)
        sys.stderr.write(f"{prepared.get_statusmsg()}\n")
        return
    if not connection.is_in_transaction():
        await connection.execute("BEGIN")
    cursor = await prepared.cursor(*values)
    writer.begin(attribute.name for attribute in prepared.get_attributes())
    while rows := await cursor.fetch(BATCH):
        writer.add(rows)
    writer.end()


async def _prepare(connection: asyncpg.Connection, statement: Statement, casts: list[str]) -> PreparedStatement:
    """Prepare a statement; each value is given as text and cast to the type that the server expects in its place."""
    if not casts:
        return await connection.prepare(statement.render(()))
    is_inside = connection.is_in_transaction()
    if is_inside:
        await connection.execute("SAVEPOINT dagbook")
    while True:
        try:
            prepared = await connection.prepare(statement.render(_placeholders(casts)))
            break
        except asyncpg.IndeterminateDatatypeError as error:
            found = re.search(r"\$([0-9]+)", str(error))  # that it names is not told otherwise
            if found is None or casts[int(found[1]) - 1]:
                raise
            casts[int(found[1]) - 1] = "::text"
            if is_inside:
                await connection.execute("ROLLBACK TO dagbook")
    if is_inside:
        await connection.execute("RELEASE dagbook")
    types = await connection.fetchval(_TYPE_NAMES, [parameter.oid for parameter in prepared.get_parameters()])
    casts[:] = [f"::text::{name}" for name in types]
    return await connection.prepare(statement.render(_placeholders(casts)))


def _placeholders(casts: list[str]) -> list[str]:
    return [f"${number}{cast}" for number, cast in enumerate(casts, 1)]


if __name__ == "__main__":
    sys.exit(run_program(main))
