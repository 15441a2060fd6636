"""Reads of an import, whose number of names and keys has no limit of its own."""

from __future__ import annotations

import pytest

from dagbook.db.database import Database
from dagbook.db.repositories.runs import run_import

pytestmark = pytest.mark.both_engines


async def test_more_keys_than_a_statement_has_parameters_are_looked_up(database: Database) -> None:
    assert await database.read(lambda connection: run_import.find_keys(connection, range(1, 70_000))) == set()
