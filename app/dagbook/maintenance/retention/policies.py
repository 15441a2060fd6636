"""How long the runs of a DAG are kept, by its definition, its stored settings and those of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import retention
from dagbook.db.repositories.retention import LastText, StoredLimits
from dagbook.maintenance.retention.limits import NO_LIMIT, Limits, RetentionSettings, TotalLimits, merge_lenient
from dagbook.spec.model import LAST_SUCCESS
from dagbook.spec.reading.definition_cache import DefinitionCache

_GROUP = 100
_FIELD = "histRetentionDays"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a DAG in its runs, and their limits.

    With ``keeps_success`` the next run begins from the newest success, which is kept beyond them.
    """

    name: str
    limits: Limits
    keeps_success: bool = False


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """The retention settings of the server: the default per DAG, and the limits of all runs together."""

    settings: RetentionSettings = RetentionSettings(days=30)
    totals: TotalLimits = TotalLimits()


class Policies:
    """Computes the effective retention policy per DAG."""

    def __init__(
        self, database: Database, library: DefinitionCache, base_text: Callable[[], str], defaults: Defaults
    ) -> None:
        self._database = database
        self._library = library
        self._base_text = base_text
        self.defaults = defaults

    async def find(self) -> list[Policy]:
        """Return the policies of all DAGs that have runs."""
        names = await self._database.read(retention.find_names)
        found: list[Policy] = []
        for begin in range(0, len(names), _GROUP):
            found += await self._find(names[begin : begin + _GROUP])
        return found

    async def get(self, name: str) -> Policy:
        """Return the policy of one DAG."""
        return (await self._find([name]))[0]

    async def _find(self, names: Sequence[str]) -> list[Policy]:
        stored, last = await self._database.read(lambda connection: _read(connection, names))
        base = self._base_text()
        found = []
        for name in names:
            await asyncio.sleep(0)
            rows = [row for row in stored if row.dag_name == name]
            each = [self.effective(row.spec, RetentionSettings.of(row), base)[1] for row in rows]
            if each:
                settings = merge_lenient(each)
            else:  # of a deleted DAG: those of its newest run's definition
                text = last.get(name)
                days = None if text is None else self.spec_days(text.spec, text.base or "")
                settings = RetentionSettings(days=days).with_fallback(self.defaults.settings)
            keeps = any(LAST_SUCCESS in text for row in rows for text in (row.spec or "", base))
            found.append(Policy(name=name, limits=settings.limits, keeps_success=keeps))
        return found

    def effective(
        self, spec: str | None, settings: RetentionSettings, base: str | None = None
    ) -> tuple[int | None, RetentionSettings]:
        """Return the days in a DAG's definition, and its effective settings: set, else defined, else the server's."""
        days = self.spec_days(spec, self._base_text() if base is None else base)
        return days, settings.with_fallback(RetentionSettings(days=days)).with_fallback(self.defaults.settings)

    def spec_days(self, spec: str | None, base: str) -> int | None:
        """Read ``histRetentionDays`` of a definition; no limit if the definition is invalid."""
        if not spec or (_FIELD not in spec and _FIELD not in base):
            return None  # most definitions: parsing thousands would block everything else
        loaded = self._library.read(spec, base=base)
        days = loaded.definition.dag.history_retention_days
        return NO_LIMIT if days is None and loaded.problems else days


def _read(
    connection: ReadConnection, names: Sequence[str]
) -> tuple[Sequence[StoredLimits], dict[str, LastText | None]]:
    stored = retention.find_stored(connection, names)
    known = {row.dag_name for row in stored}
    return stored, {name: retention.get_last_text(connection, name) for name in names if name not in known}
