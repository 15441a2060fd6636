"""What a batch is asked by a request: scheduled times to start, or a filter of runs and what is done to them. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.batches.batches import AGAIN, CURRENT, RETRY, START
from dagbook.db.repositories.batches.selection import RunSelection
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten, strip_suffix
from dagbook.json_values import Json
from dagbook.runs.filter_texts import read_instant, read_seconds, split_param

MOST_ITEMS, MOST_PICKED, LONGEST = 10_000, 500, 500
_MOST_VALUES, _HIGHEST = 10, 2**31 - 1
_NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no NUL
_Text = Annotated[str, Meta(max_length=LONGEST, pattern=_NO_NUL)]
_Given = Annotated[str, Meta(min_length=1, max_length=LONGEST, pattern=_NO_NUL)]
_Values = (
    Annotated[str, Meta(min_length=1, max_length=LONGEST)]
    | Annotated[list[_Given], Meta(min_length=1, max_length=_MOST_VALUES)]
)  # its text has no pattern: beside a list, msgspec 0.22 frees one that it has not
_Revision = Annotated[int, Meta(ge=1, le=_HIGHEST)]
_PERIOD = ("fromDate", "toDate")


class RunsFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which runs a batch is about: root runs for which all of these hold.

    The members of lists of runs mean what they mean there; ``name`` is a part of the name of a DAG. ``revision`` is a
    number or a range, ``9..10``. ``secret`` is the key of a secret that an attempt had, with ``@4`` at its end one
    version of it. ``worker`` is the id, or the name, of a process that had an attempt, and ``step`` a step that was
    executed in one. ``runs`` are single runs, each as DAG name, slash and run id.
    """

    name: _Given | UnsetType = UNSET
    dag_run_id: _Given | UnsetType = UNSET
    status: Annotated[int, Meta(ge=0, le=6)] | UnsetType = UNSET
    from_date: int | UnsetType = UNSET
    to_date: int | UnsetType = UNSET
    tag: _Values | UnsetType = UNSET
    param: _Values | UnsetType = UNSET
    trigger: _Given | UnsetType = UNSET
    actor: _Given | UnsetType = UNSET
    min_duration: _Given | UnsetType = UNSET
    max_duration: _Given | UnsetType = UNSET
    error: _Given | UnsetType = UNSET
    waiting_for_approval: bool | UnsetType = UNSET
    revision: _Revision | _Given | UnsetType = UNSET
    secret: _Given | UnsetType = UNSET
    worker: _Given | UnsetType = UNSET
    step: _Given | UnsetType = UNSET
    runs: Annotated[list[_Given], Meta(min_length=1, max_length=MOST_PICKED)] | UnsetType = UNSET


class NewBatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What to do to scheduled times of a DAG (``start``), or to the runs of a filter (all other actions).

    ``start`` takes all times between ``from`` and ``to``, both inclusive: days of the schedule, or times with a zone.
    ``only`` is which of them: those without a run (``missing``), those whose run has failed (``failed``), or ``all``,
    also those that have succeeded; without it the first two. What became of a time may be unknown, after 90 days or
    when its run was deleted: it is started with ``unknown`` alone. ``params`` has a format of the scheduled time for
    each name, such as ``%F``.

    ``again`` replaces finished runs by new ones, and needs a ``reason``, but not for a dry run. ``retry`` does failed
    runs again, ``stop`` stops running ones, ``dequeue`` removes queued ones, ``delete`` deletes finished ones. They
    need a ``filter`` with at least one member; ``dag`` is one DAG.

    ``text`` is which text runs: ``current``, a revision, or ``original`` for that of each run. ``leaveOut`` has ids of
    runs, and scheduled times, that are left out. ``expect`` is how many items there have to be. With ``dryRun`` nothing
    is stored.
    """

    action: Literal["start", "retry", "again", "stop", "dequeue", "delete"]
    dag: _Given | UnsetType = UNSET
    from_: _Text | UnsetType = msgspec.field(name="from", default=UNSET)
    to: _Text | UnsetType = UNSET
    only: Literal["missing", "failed", "all"] | None = None
    unknown: bool = False
    filter: RunsFilter | UnsetType = UNSET
    params: Annotated[dict[_Text, _Text], Meta(max_length=50)] = {}
    text: Literal["current", "original"] | _Revision = "current"
    parallel: Annotated[int, Meta(ge=1, le=100)] = 1
    order: Literal["oldest", "newest"] = "oldest"
    on_failure: Literal["continue", "stop"] = "continue"
    reason: _Text = ""
    expect: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    leave_out: Annotated[list[_Text], Meta(max_length=MOST_ITEMS)] = []
    dry_run: bool = False

    @property
    def asked(self) -> dict[str, Json]:
        """What is stored of what was asked."""
        named: dict[str, Json] = {} if self.dag is UNSET else {"dag": strip_suffix(self.dag)}
        if self.filter is not UNSET:
            given: dict[str, Json] = msgspec.to_builtins(self.filter)
            return named | given
        named |= {"from": self.from_ or "", "to": self.to or ""}
        return named | ({"only": self.only} if self.only else {}) | ({"unknown": True} if self.unknown else {})


def check(wanted: NewBatch) -> None:
    """Raise BadRequestError naming the first member that is missing, empty or of another action."""
    is_start = wanted.action == START
    needed = {"dag": wanted.dag, "from": wanted.from_, "to": wanted.to} if is_start else {"filter": wanted.filter}
    if missing := [name for name, value in needed.items() if value is UNSET]:
        raise BadRequestError(f"{missing[0]}: is missing; the action {wanted.action} needs it")
    if wanted.filter == RunsFilter():
        raise BadRequestError("filter: is empty, and would be about all runs; give at least one member")
    foreign: dict[str, object] = {"filter": wanted.filter}
    if not is_start:
        foreign = {"from": wanted.from_, "to": wanted.to, "only": wanted.only}
        foreign |= {"unknown": wanted.unknown, "params": wanted.params}
        foreign |= {"text": wanted.text != CURRENT and wanted.action not in (AGAIN, RETRY)}
    if wrong := [name for name, value in foreign.items() if value]:
        raise BadRequestError(f"{wrong[0]}: is not for the action {wanted.action}; leave it out")
    if wanted.action == AGAIN and not (wanted.dry_run or wanted.reason.strip()):
        raise BadRequestError("reason: is missing; say why these runs are done again")
    if isinstance(wanted.text, int) and wanted.dag is UNSET:
        raise BadRequestError("text: a revision is one of a DAG; give dag, too")


def read_selection(given: RunsFilter, name: str | None, visibility: Visibility) -> RunSelection:
    """Return the selection of a filter, of one DAG name if that is given; raises BadRequestError naming the field."""
    secret, version = _split_version(given.secret or "")
    return RunSelection(
        name=name,
        name_part=given.name or None,
        run_id_part=given.dag_run_id or None,
        status=None if given.status is UNSET else given.status,
        since=read_instant("filter.fromDate", None if given.from_date is UNSET else given.from_date),
        before=read_instant("filter.toDate", None if given.to_date is UNSET else given.to_date),
        tags=tuple(text.strip().lower() for text in _values("filter.tag", given.tag)),
        params=tuple(split_param(text) for text in _values("filter.param", given.param)),
        trigger=given.trigger or None,
        actor=given.actor or None,
        shortest_seconds=read_seconds("filter.minDuration", given.min_duration or None),
        longest_seconds=read_seconds("filter.maxDuration", given.max_duration or None),
        error=given.error or "",
        waiting=None if given.waiting_for_approval is UNSET else given.waiting_for_approval,
        revisions=None if given.revision is UNSET else _read_revisions(given.revision),
        secret=secret or None,
        version=version,
        worker=given.worker or None,
        step=given.step or None,
        picked=None if given.runs is UNSET else tuple(_read_run(text) for text in given.runs),
        replaced=True,
        visibility=visibility,
    )


def _values(field: str, given: str | list[str] | UnsetType) -> list[str]:
    values = [given] if isinstance(given, str) else given or []
    if "\0" in "".join(values):
        raise BadRequestError(f"{field}: has a NUL character, which no tag and no param has; leave it out")
    return values


def _read_revisions(given: int | str) -> tuple[int, int]:
    first, dots, last = str(given).partition("..")
    numbers = [int(text) for text in (first, last if dots else first) if text.isascii() and text.isdecimal()]
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] <= _HIGHEST:  # noqa: PLR2004 - both ends
        raise BadRequestError(f"filter.revision: {shorten(str(given))} is no revision; write 9, or 9..10")
    return numbers[0], numbers[1]


def _read_run(given: str) -> tuple[str, str]:
    name, slash, run_id = given.partition("/")
    if not (name and slash and run_id):
        raise BadRequestError(f"filter.runs: {shorten(given)} is no run; write its DAG name, a slash, and its id")
    return name, run_id


def _split_version(given: str) -> tuple[str, int | None]:
    name, _, version = given.rpartition("@")
    if name and version.isascii() and version.isdecimal() and int(version[:20]) <= _HIGHEST:
        return name, int(version)
    return given, None


def selectors_of(asked: dict[str, Json]) -> dict[str, Json]:
    """Return what of a stored filter says which runs are affected: all but its period, which may follow the clock."""
    return {name: value for name, value in asked.items() if name not in _PERIOD}
