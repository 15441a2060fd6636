"""Looking for words or an expression in what the steps of a run wrote, in bounded memory and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from time import monotonic
from typing import Literal

import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.rows import Row
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.regex.client import ExpressionError, RegexWorker, open_regex_worker
from dagbook.regex.worker import Span

_CONCURRENT = 2  # searches of one server: each takes a core
_MAX_COUNTED = 10_000
_TIMEOUT_SECONDS = 20.0  # then what was found is told, and where to go on
_MAX_QUERY = 1000
_MAX_LINE = 1024 * 1024  # a longer one is looked through in pieces
_OVERLAP = 4096  # of such pieces: so long may a match across them be
_BEFORE, _SHOWN = 100, 400  # characters of a line that are shown, and of those before the match
_NAMES: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


class SearchPosition(msgspec.Struct, frozen=True, order=True):
    """A line of a run's logs, in the order of the search: number of the step, handlers last, then stream and line."""

    step: int
    stream: int
    line: int

    def __str__(self) -> str:
        """Write it as clients are given it."""
        return f"{self.step}.{self.stream}.{self.line}"


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for and where."""

    text: str
    is_expression: bool = False
    limit: int = 100
    after: SearchPosition | None = None


class LogStream(msgspec.Struct, frozen=True):
    """One stream of a step that has written to it: the step's place in the order and its name."""

    order: int
    step: str
    key: StreamKey
    last: int  # number of its last chunk


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A line that matches: ``text`` is what is shown of it, from character ``column`` of the line on.

    ``start`` and ``end`` are the range of the first match in ``text``. Lines and columns count from 1.
    """

    step: str
    stream: Literal["stdout", "stderr"]
    line: int
    column: int
    text: str
    start: int
    end: int


class HitPage(msgspec.Struct, frozen=True, kw_only=True):
    """Hits in the order of steps, streams and lines; ``total`` on the first page only, ``next`` if more may follow."""

    hits: list[Hit]
    total: int | None = None
    is_estimate: bool | None = None
    next: str | None = None


class TextBlock(msgspec.Struct, frozen=True):
    """Whole lines of a stream, or a part of a very long one, of which ``skipped`` characters came before."""

    line: int
    text: str
    skipped: int = 0

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.line + max(self.text.count("\n") - 1, 0)

    def after(self, line: int) -> TextBlock:
        """Leave out what belongs to this line and those before it."""
        begin = 0
        for _ in range(self.line, line + 1):
            begin = self.text.find("\n", begin) + 1
            if not begin:
                return TextBlock(line + 1, "")
        return TextBlock(line + 1, self.text[begin:]) if begin else self


def read_position(text: str) -> SearchPosition:
    """Read where a search is to go on; raises BadRequestError."""
    parts = text.split(".")
    if len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):  # noqa: PLR2004
        return SearchPosition(*map(int, parts))
    raise BadRequestError(f"after: {shorten(text)} is no place in a search; send what the page before has as next")


def check_query(text: str) -> None:
    """Check what is looked for; raises BadRequestError."""
    if not text:
        raise BadRequestError("q: is empty; give words to look for, or a regular expression with regex=true")
    if len(text) > _MAX_QUERY:
        raise BadRequestError(f"q: has {len(text)} characters; give at most {_MAX_QUERY}")
    if "\n" in text or "\0" in text:
        raise BadRequestError("q: holds a line end or a NUL character, which no line has; give what is in one line")


def log_streams(nodes: Sequence[Row], known: Mapping[StreamKey, int], streams: Sequence[int]) -> list[LogStream]:
    """Name the streams of nodes, steps first; ``known`` are those of the run with their last chunks. Pure."""
    ordered = sorted(nodes, key=lambda node: (node["position"] < 0, abs(node["position"])))
    found = [
        (
            order,
            node["name"],
            StreamKey(node["run_id"], node["log_attempt"] or node["attempt"], node["position"], stream),
        )
        for order, node in enumerate(ordered)
        for stream in streams
    ]
    return [LogStream(order, name, key, known[key]) for order, name, key in found if key in known]


class LogSearch:
    """Searches logs, a few at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._slots = asyncio.Semaphore(_CONCURRENT)

    async def find(self, found_in: Sequence[LogStream], query: SearchQuery) -> HitPage:
        """Find a page of hits; raises BadRequestError for an expression that is none or takes too long."""
        async with self._slots, open_regex_worker() as matcher:
            search = _Search(self._database, matcher, query)
            try:
                if query.is_expression:
                    await matcher.find([], expression=query.text)  # a mistake is told where there is no log, too
                return await search.run(found_in)
            except ExpressionError as error:
                raise BadRequestError(f"q: {error}") from error


class _Search:
    """One search under way."""

    def __init__(self, database: Database, matcher: RegexWorker, query: SearchQuery) -> None:
        self._database = database
        self._matcher = matcher
        self._query = query
        self._until = monotonic() + _TIMEOUT_SECONDS
        self._most = query.limit + 1 if query.after else max(_MAX_COUNTED, query.limit + 1)
        self._count = 0
        self._hits: list[Hit] = []
        self._last: SearchPosition | None = query.after  # of the hits on the page, or where nothing was found up to

    async def run(self, found_in: Sequence[LogStream]) -> HitPage:
        """Look through the streams until there is enough, or time is over."""
        done = True
        for source in found_in:
            if done and not self._is_before(source):
                done = await self._search_stream(source)
        is_first = self._query.after is None
        has_more = self._last is not None and (not done or self._count > len(self._hits))
        return HitPage(
            hits=self._hits,
            total=self._count if is_first else None,
            is_estimate=not done if is_first else None,
            next=str(self._last) if has_more else None,
        )

    def _is_before(self, source: LogStream) -> bool:
        after = self._query.after
        return after is not None and (source.order, source.key.stream) < (after.step, after.stream)

    async def _search_stream(self, source: LogStream) -> bool:
        """Look through one stream; tells whether it came to its end."""
        begin = seen = self._first_line(source)
        async for piece in blocks(self._database, source, seen + 1):
            rest = piece.after(seen)
            for span in await self._spans(rest):
                seen = rest.line + span[0] - 1
                self._add_hit(source, rest, span)
            if self._count >= self._most:
                return False
            if piece.last > begin and monotonic() > self._until:
                self._stop_at(source, piece)
                return False
        return True

    def _first_line(self, source: LogStream) -> int:
        after = self._query.after
        if after is None or (source.order, source.key.stream) != (after.step, after.stream):
            return 0
        return after.line

    async def _spans(self, piece: TextBlock) -> list[Span]:
        query = self._query
        most = self._most - self._count
        words, expression = ("", query.text) if query.is_expression else (query.text, "")
        (found,) = await self._matcher.find([piece.text], words=words, expression=expression, most=most)
        return found

    def _add_hit(self, source: LogStream, piece: TextBlock, span: Span) -> None:
        self._count += 1
        if len(self._hits) < self._query.limit:
            line = piece.line + span[0] - 1
            self._hits.append(to_hit(source, line, piece, span))
            self._last = SearchPosition(source.order, source.key.stream, line)

    def _stop_at(self, source: LogStream, piece: TextBlock) -> None:
        """Note how far it came, unless the page is full and goes on behind its last hit."""
        if len(self._hits) < self._query.limit:
            self._last = SearchPosition(source.order, source.key.stream, piece.last)


async def blocks(database: Database, source: LogStream, line: int) -> AsyncIterator[TextBlock]:
    """Read a stream from a line on, or a little before it, in pieces of whole lines."""
    key, seq = source.key, 0
    if line > 1:
        seq = await database.read(lambda connection: logs.find_first(connection, key, line))
    rest, number, skipped = "", 0, 0
    while seq <= source.last:
        rows = await database.read(lambda connection, seq=seq: logs.find_block(connection, key, seq))  # type: ignore[misc]
        if not rows:
            return  # the run was removed
        number = number or rows[0]["first_line"]
        text = rest + "".join(row["text"] for row in rows)
        seq = rows[-1]["seq"] + 1
        end = text.rfind("\n") + 1
        if not end and len(text) < _MAX_LINE:
            rest = text
            continue
        yield TextBlock(number, text[:end] or text, skipped)
        rest = text[end:] if end else text[-_OVERLAP:]
        skipped = 0 if end else skipped + len(text) - len(rest)
        number += text.count("\n")
    if rest:
        yield TextBlock(number, rest, skipped)


def to_hit(source: LogStream, line: int, piece: TextBlock, span: Span) -> Hit:
    """Show a hit, of a long line the part around it. Pure."""
    number, begin, start, end = span
    finish = piece.text.find("\n", begin)
    text = piece.text[begin : finish if finish >= 0 else len(piece.text)].removesuffix("\r")
    first = max(start - _BEFORE, 0) if len(text) > _SHOWN else 0
    shown = text[first : first + _SHOWN]
    return Hit(
        step=source.step,
        stream=_NAMES[source.key.stream],
        line=line,
        column=first + 1 + (piece.skipped if number == 1 else 0),
        text=shown,
        start=start - first,
        end=min(end - first, len(shown)),
    )
