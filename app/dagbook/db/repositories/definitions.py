"""Texts of definitions, stored once by their hash."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from sqlalchemy import select

from dagbook.db.database import WriteConnection
from dagbook.db.models.definition import Definition
from dagbook.db.prepared import Prepared
from dagbook.db.statements import insert_into
from dagbook.spec.reading.definition_cache import hash_of

_add = Prepared(insert_into(Definition).on_conflict_do_nothing())


class DefinitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A YAML text with its base text, by the hash of both."""

    hash: str
    spec: str
    base: str | None
    created_at: datetime

    @classmethod
    def of(cls, spec: str, base: str, at: datetime) -> DefinitionRow:
        """Make the row of a text."""
        return cls(hash=hash_of(spec, base), spec=spec, base=base or None, created_at=at)


class TextRedactedError(Exception):
    """The text was redacted, so it cannot be stored again."""


def add_missing(connection: WriteConnection, rows: Iterable[DefinitionRow]) -> None:
    """Store the definitions that are not stored yet, in one order, so that two servers cannot deadlock."""
    by_hash = {row.hash: row for row in rows}
    _add.execute_many(connection, [by_hash[content_hash] for content_hash in sorted(by_hash)])


def add(connection: WriteConnection, row: DefinitionRow) -> None:
    """Store a definition of a DAG, if it is not stored already; raises TextRedactedError."""
    # The lock makes a redaction of this text wait until it can see the new use of it.
    stored = select(Definition.redacted_at).where(Definition.hash == row.hash).with_for_update(read=True)
    add_missing(connection, [row])
    found = connection.execute(stored).first()
    if found is None:  # it was unused, and deleted concurrently
        add_missing(connection, [row])
        found = connection.execute(stored).first()
    if found is not None and found.redacted_at is not None:
        raise TextRedactedError
