"""How long the runs of a DAG are kept, by its definition, its stored settings and those of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from dagbook.auth.audit_context import Action, Actor, dag_action
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit, dags, retention
from dagbook.db.repositories.retention import LastText, LimitsRow, StoredLimits
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.spec.reading.definition_cache import DefinitionCache

NO_LIMIT = -1
DAY_SECONDS = 86_400


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the finished runs of a DAG; None is no limit.

    With ``newest`` the newest run may be deleted too, however young: only on explicit request.
    """

    seconds: float | None = None
    runs: int | None = None
    log_bytes: int | None = None
    newest: bool = False

    @property
    def may_delete_newest(self) -> bool:
        """Whether the newest run is deleted by age: with a limit of 0 it is kept until the next run."""
        return self.newest or bool(self.seconds)


class TotalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of all runs together; None is no limit."""

    runs: int | None = None
    log_bytes: int | None = None


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The retention of one source: -1 is no limit, None is not set."""

    days: int | None = None
    runs: int | None = None
    log_bytes: int | None = None

    @classmethod
    def of(cls, row: StoredLimits | LimitsRow) -> RetentionSettings:
        return cls(days=row.days, runs=row.runs, log_bytes=row.log_bytes)

    def with_fallback(self, other: RetentionSettings) -> RetentionSettings:
        """Use the values of another source where this one has none."""
        return RetentionSettings(
            days=other.days if self.days is None else self.days,
            runs=other.runs if self.runs is None else self.runs,
            log_bytes=other.log_bytes if self.log_bytes is None else self.log_bytes,
        )

    @property
    def limits(self) -> Limits:
        days = _limit(self.days)
        return Limits(
            seconds=None if days is None else days * DAY_SECONDS,
            runs=_limit(self.runs),
            log_bytes=_limit(self.log_bytes),
        )


def _limit(value: int | None) -> int | None:
    return None if value is None or value < 0 else value


def merge_lenient(several: Iterable[RetentionSettings]) -> RetentionSettings:
    """Return the most lenient settings, of several stored DAGs of one name."""
    found = list(several)
    return RetentionSettings(
        days=_longest(settings.days for settings in found),
        runs=_longest(settings.runs for settings in found),
        log_bytes=_longest(settings.log_bytes for settings in found),
    )


def _longest(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return NO_LIMIT if min(known) < 0 else max(known)


_MOST = {"days": 36_500, "runs": 10**9, "log_bytes": 2**50}
_FIELDS = {"log_bytes": "logBytes"}


def check_limits(settings: RetentionSettings) -> None:
    """Check limits. Raises BadRequestError."""
    for name, most in _MOST.items():
        value = getattr(settings, name)
        if value is not None and not NO_LIMIT <= value <= most:
            field = _FIELDS.get(name, name)
            raise BadRequestError(f"{field}: {value} does not fit; write 0 to {most}, or {NO_LIMIT} for no limit")


class DagRetentionService:
    """Sets the retention of DAGs, which overrides their definitions and the server's settings."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def put(self, file_name: str, settings: RetentionSettings, actor: Actor) -> LimitsRow | None:
        """Replace the settings of a DAG; settings without values delete them, and None is returned.

        Raises BadRequestError, and NotFoundError when there is no such DAG.
        """
        check_limits(settings)
        now = self._now()

        def work(connection: WriteConnection) -> LimitsRow | None:
            dag = dags.get(connection, file_name)
            if dag is None:
                raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
            before = retention.get_limits(connection, dag.id)
            old = None if before is None else {name: getattr(before, name) for name in _MOST}
            limits = {name: getattr(settings, name) for name in _MOST}
            audit_action = dag_action(
                Action.DAG_RETENTION, file_name, old, None if settings == RetentionSettings() else limits
            )
            audit.add(connection, actor.entry(audit_action, now))
            if settings == RetentionSettings():
                retention.remove_limits(connection, dag.id)
                return None
            retention.put_limits(connection, {"dag_id": dag.id, **limits, "set_at": now, "set_by": actor.label})
            return retention.get_limits(connection, dag.id)

        return await self._database.write(work)


_GROUP = 100
_FIELD = "histRetentionDays"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a DAG in its runs, and their limits."""

    name: str
    limits: Limits


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
            found.append(Policy(name=name, limits=settings.limits))
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
