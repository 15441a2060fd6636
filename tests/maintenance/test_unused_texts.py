"""An unused definition may be stored again while it is deleted."""

from __future__ import annotations

import asyncio

from sqlalchemy import func, select

from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import Definition
from dagbook.db.repositories import definitions, deletion
from dagbook.db.repositories.definitions import DefinitionRow
from tests.maintenance.history import NOW, SPEC
from tests.statements import noting_statements


async def test_a_definition_that_is_deleted_while_it_is_stored_is_stored(database_url: str) -> None:
    row = DefinitionRow.of(SPEC, "", NOW)
    storing, removing = await Database.open(database_url), await Database.open(database_url)
    try:
        await storing.write(lambda connection: definitions.add(connection, row))
        if storing.dialect == "postgresql":
            await _store_while_it_goes(storing, removing, row)
        else:  # one writer: it goes before or after
            assert await removing.write(lambda connection: deletion.remove_unused(connection, [row.hash])) == 1
            await storing.write(lambda connection: definitions.add(connection, row))
        count = select(func.count()).select_from(Definition)
        assert await storing.read(lambda connection: connection.scalar(count)) == 1
    finally:
        await storing.close()
        await removing.close()


async def _store_while_it_goes(storing: Database, removing: Database, row: DefinitionRow) -> None:
    """Let the text go between the moment it is found to be there and the moment it is locked."""
    removed = asyncio.Event()
    begun: list[asyncio.Task[None]] = []

    async def remove() -> None:
        await removing.write(lambda connection: deletion.remove_unused(connection, [row.hash]))
        removed.set()

    def work(connection: WriteConnection) -> None:
        def before_the_lock(statement: str, *_: object) -> None:
            if begun or "FOR SHARE" not in statement:
                return
            begun.append(asyncio.create_task(remove()))
            while not begun[0].done():
                connection.exec_driver_sql("SELECT 1")  # lets the other one work

        with noting_statements(before_the_lock):
            definitions.add(connection, row)

    await storing.write(work)
    assert removed.is_set()
