"""The long list of a DAG's runs, made of blocks as far as there are any, and of the runs themselves between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Integer, bindparam, case, select

from app.db.base import UtcDateTime
from app.db.database import ReadConnection
from app.db.models.block import RunBlock
from app.db.packing import unpack_bytes
from app.db.prepared import Prepared
from app.db.repositories.run_filter import Place, RunFilter

FULL = 128  # runs of a block; there are more when some came later, or were created in the same moment
BETWEEN = b",\n"  # the runs of a block: no text in JSON has an end of line inside
MOMENT = timedelta(microseconds=1)
FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Runs = Sequence[Sequence[Any]]
# Reads the newest runs of the list that were created since the first and before the second of two instants.
ReadRuns = Callable[[datetime | None, datetime | None, int], Runs]

_within = (
    RunBlock.dag_name == bindparam("name"),
    RunBlock.newest >= bindparam("since"),
    RunBlock.newest < bindparam("before"),
)
_newest = (
    select(RunBlock.newest).where(*_within).order_by(RunBlock.newest.desc()).limit(bindparam("most", type_=Integer))
)
# From the oldest on, as they have been written: what has to come from the disk is then read ahead.
_find = Prepared(
    select(
        RunBlock.newest,
        RunBlock.oldest,
        RunBlock.runs,
        RunBlock.places,
        case((RunBlock.form == bindparam("form"), RunBlock.items)).label("items"),
    )
    .where(RunBlock.dag_name == bindparam("name"), RunBlock.newest.in_(_newest.scalar_subquery()))
    .order_by(RunBlock.newest)
)
_decode_places = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_place = msgspec.json.Decoder(tuple[int, str, int]).decode


class Written(msgspec.Struct, frozen=True):
    """So many runs of a block as text, from the newest on; ``places``, packed, are those of the whole block."""

    runs: int
    places: bytes
    items: bytes

    def __len__(self) -> int:
        return self.runs

    def first(self, number: int) -> Written:
        """Give the first so many of them."""
        if number >= self.runs:
            return self
        rest = self.items.split(BETWEEN, number)[number]
        return Written(number, self.places, self.items[: -len(BETWEEN + rest)])

    def last_place(self) -> Place:
        """Return the place of the last run in lists."""
        microseconds, run_id, key = _decode_place(_decode_places(unpack_bytes(self.places))[self.runs - 1])
        return Place(FIRST + microseconds * MOMENT, run_id, key)


class _Block(NamedTuple):
    newest: datetime
    oldest: datetime
    runs: int
    places: bytes
    items: bytes | None


def find(
    connection: ReadConnection, wanted: RunFilter, most: int, form: str, read: ReadRuns
) -> Sequence[Runs | Written]:
    """Return the runs of one DAG, given by its name and times, in pieces: all but the last are needed whole."""
    pieces: list[Runs | Written] = []
    missing, before, is_gap = most, wanted.before, True
    for block in _blocks(connection, wanted, most, form):
        if block.items is None or (wanted.since is not None and block.oldest < wanted.since):
            is_gap = True
            continue
        if is_gap:
            between = read(block.newest + MOMENT, before, missing)
            pieces.append(between)
            missing -= len(between)
        if missing <= 0:
            return pieces
        pieces.append(Written(block.runs, block.places, unpack_bytes(block.items)))
        missing, before, is_gap = missing - block.runs, block.oldest, False
        if missing <= 0:
            return pieces
    if not (before and wanted.since and before <= wanted.since):
        pieces.append(read(wanted.since, before, missing))
    return pieces


def _blocks(connection: ReadConnection, wanted: RunFilter, most: int, form: str) -> Iterator[_Block]:
    """Give the blocks, from the newest on, as many at a time as may be needed for so many runs."""
    times = UtcDateTime()
    before = wanted.before or _LAST
    values = {"name": wanted.name, "since": wanted.since or FIRST, "form": form}
    at_once = most // FULL + 2  # the first may be small, and the last is not needed whole
    while True:
        rows = _find.find(connection, {**values, "before": before, "most": at_once})
        for newest, oldest, *rest in reversed(rows):
            begin, end = (times.process_result_value(each, connection.dialect) for each in (oldest, newest))
            assert begin is not None and end is not None  # noqa: S101, PT018 - they are never null
            yield _Block(end, begin, *rest)
            before = end
        if len(rows) < at_once:
            return
