"""What counts for the runs of each DAG, stored, renamed or deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from app.db.database import Database, ReadConnection
from app.db.repositories import retention
from app.db.repositories.reading import Row
from app.spec.definition_cache import DefinitionCache
from app.upkeep.limits import NO_LIMIT, Limits, Said, Totals, most_lenient

_GROUP = 100
_FIELD = "histRetentionDays"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A DAG's name, as its runs have it, and what counts for these."""

    name: str
    limits: Limits


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's settings say: of each DAG that says nothing itself, and of all runs together."""

    said: Said = Said(days=30)
    totals: Totals = Totals()


class Policies:
    """Finds out what counts."""

    def __init__(
        self, database: Database, library: DefinitionCache, base_text: Callable[[], str], defaults: Defaults
    ) -> None:
        self._database = database
        self._library = library
        self._base_text = base_text
        self.defaults = defaults

    async def find(self) -> list[Policy]:
        """Return what counts for every DAG of which there are runs."""
        names = await self._database.read(retention.find_names)
        found: list[Policy] = []
        for begin in range(0, len(names), _GROUP):
            found += await self._find(names[begin : begin + _GROUP])
        return found

    async def get(self, name: str) -> Policy:
        """Return what counts for the runs of one DAG."""
        return (await self._find([name]))[0]

    async def _find(self, names: Sequence[str]) -> list[Policy]:
        stored, last = await self._database.read(lambda connection: _read(connection, names))
        base = self._base_text()
        found = []
        for name in names:
            await asyncio.sleep(0)
            rows = [row for row in stored if row["dag_name"] == name]
            each = [self.explain(row["spec"], Said.of(row), base)[1] for row in rows]
            said = most_lenient(each) if each else self._last(last.get(name))
            found.append(Policy(name=name, limits=said.limits))
        return found

    def explain(self, spec: str | None, said: Said, base: str | None = None) -> tuple[int | None, Said]:
        """Tell the days that a stored DAG's text says, and what counts: what is set, else that, else the settings."""
        written = self.written_days(spec, self._base_text() if base is None else base)
        return written, said.or_else(Said(days=written)).or_else(self.defaults.said)

    def written_days(self, spec: str | None, base: str) -> int | None:
        """Read ``histRetentionDays`` of a text; for ever where nobody can tell what it says."""
        if not spec or (_FIELD not in spec and _FIELD not in base):
            return None  # most texts: parsing thousands would hold up everything else
        loaded = self._library.read(spec, base=base)
        days = loaded.definition.dag.history_retention_days
        return NO_LIMIT if days is None and loaded.problems else days

    def _last(self, row: Row | None) -> Said:
        """Say what counts for the runs of a DAG that is stored no more: what its newest run's text says."""
        days = None if row is None else self.written_days(row["spec"], row["base"] or "")
        return Said(days=days).or_else(self.defaults.said)


def _read(connection: ReadConnection, names: Sequence[str]) -> tuple[Sequence[Row], dict[str, Row | None]]:
    stored = retention.find_stored(connection, names)
    known = {row["dag_name"] for row in stored}
    return stored, {name: retention.get_last_text(connection, name) for name in names if name not in known}
