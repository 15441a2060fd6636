"""An audit with entries and seals, and a hand that changes them with the database's triggers switched off."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import update

from dagbook.auth.audit_context import Action, Actor, dag_action
from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import AuditSeal
from dagbook.db.repositories import audit
from dagbook.maintenance.audit.audit_chain import make_seal
from dagbook.maintenance.audit.audit_sealing import AuditSealer
from dagbook.maintenance.audit.audit_verification import KnownSeal, Verified, verify
from dagbook.runs.secrets.encryption import Encrypter
from tests.db.rows import NOW, run_sql

ANN = Actor(via="login", actor="ann", user_id="u1", address="192.0.2.1", request_id="q1")
_GUARDS = ("guard_audit_update", "guard_audit_delete", "guard_audit_seals_update", "guard_audit_seals_delete")


class Audit:
    """The audit of one database."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database = database
        self.signer = Encrypter("a key of the tests that is long enough", home)
        self.time = NOW
        self._noted = 0
        self.encrypter = AuditSealer(database, self.signer, self.now)

    def now(self) -> datetime:
        return self.time

    async def note(self, count: int) -> None:
        """Add entries."""
        entries = [
            ANN.entry(dag_action(Action.DAG_UPDATE, f"dag{number}", {"revision": number}), NOW)
            for number in range(self._noted, self._noted + count)
        ]
        self._noted += count
        await self.database.write(lambda connection: audit.add(connection, *entries))

    async def seal(self, *counts: int) -> None:
        """Add as many entries as each seal is to cover, and seal them."""
        for count in counts:
            await self.note(count)
            assert await self.encrypter.run_once() == count

    async def verify(self, known: KnownSeal | None = None) -> Verified:
        return await self.database.read(lambda connection: verify(connection, self.signer, known))

    async def broken(self) -> str:
        return (await self.verify()).broken

    async def tamper(self, *statements: str, **values: Any) -> None:
        """Change rows as somebody would who owns the database."""

        def work(connection: WriteConnection) -> None:
            switch_off(connection)
            for statement in statements:
                named = {name: value for name, value in values.items() if f":{name}" in statement}
                run_sql(connection, statement, **named)

        await self.database.write(work)

    async def seal_again(self, number: int) -> None:
        """Make a seal fit the entries as they are now, but for its signature, which takes the key."""

        def work(connection: WriteConnection) -> None:
            seals = audit.find_seals(connection, 0, 1000)
            last = seals[number - 1]
            after, previous = (seals[number - 2].last_id, seals[number - 2].hash) if number > 1 else (0, "")
            entries = audit.read_range(connection, after, last.last_id, 10_000)
            made = make_seal(number, entries, previous, last.sealed_at, last.pruned_up_to)
            names = ("first_id", "last_id", "entries", "digest", "hash", "marks")
            values = {name: getattr(made, name) for name in names}
            connection.execute(update(AuditSeal).where(AuditSeal.number == number).values(**values))

        await self.database.write(work)


def switch_off(connection: WriteConnection) -> None:
    if connection.dialect.name == "postgresql":
        for table in ("audit", "audit_seals"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        return
    for guard in _GUARDS:
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {guard}")


def numbers(rows: Iterable[object], column: str) -> list[int]:
    return [getattr(row, column) for row in rows]
