"""Stored keys of SSH hosts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from dagbook.db.database import ReadConnection, WriteConnection, all_rows, first_row
from dagbook.db.models.service import SshHostKey

_KEY = ["host", "port"]
_statement = select(*SshHostKey.__table__.columns).order_by(SshHostKey.host, SshHostKey.port)


class SshHostKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a host; ``accepted_by`` is None for that of the first connection."""

    host: str
    port: int
    algorithm: str
    fingerprint: str
    stored_at: datetime
    accepted_by: str | None = None


def find(connection: ReadConnection) -> Sequence[SshHostKeyRow]:
    """Return the keys of all hosts, by name and port."""
    return all_rows(connection, SshHostKeyRow, _statement)


def get(connection: ReadConnection, host: str, port: int) -> SshHostKeyRow | None:
    """Return the key of a host."""
    return first_row(connection, SshHostKeyRow, _statement.where(SshHostKey.host == host, SshHostKey.port == port))


def count(connection: ReadConnection) -> int:
    """Count the hosts that have a key."""
    return connection.scalar(select(func.count()).select_from(SshHostKey)) or 0


def add(connection: WriteConnection, row: SshHostKeyRow) -> None:
    """Store the key of a host, unless it has one: of two first connections one counts."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(make(SshHostKey).values(msgspec.structs.asdict(row)).on_conflict_do_nothing())


def put(connection: WriteConnection, row: SshHostKeyRow) -> None:
    """Store the key of a host in place of another one."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = msgspec.structs.asdict(row)
    others = {name: value for name, value in values.items() if name not in _KEY}
    connection.execute(make(SshHostKey).values(values).on_conflict_do_update(index_elements=_KEY, set_=others))


def remove(connection: WriteConnection, host: str, port: int) -> None:
    """Delete the key of a host."""
    connection.execute(delete(SshHostKey).where(SshHostKey.host == host, SshHostKey.port == port))
