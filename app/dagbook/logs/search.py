"""Search for words or a regular expression in the output of a run's steps, in bounded memory and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Literal

import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories.logs import logs, merged_logs
from dagbook.db.repositories.logs.interleaved_logs import NodeOutput
from dagbook.db.repositories.logs.logs import BOTH, ChunkText, StreamKey
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.spec.expressions import Expression, ExpressionError, Span, find_lines, line_expression, unix_lines

_CONCURRENT = 8  # searches of one server; the API admits no more, and two of one caller
_MAX_COUNTED = 10_000
_TIMEOUT_SECONDS = 20.0  # then the response has the hits so far and the position to continue from
_BLOCK_SECONDS = 10.0  # for one block: an expression that takes longer is refused
_MAX_QUERY = 1000
_MAX_LINE = 1024 * 1024  # characters; a longer line is searched in several blocks
_OVERLAP = 4096  # of such blocks: the longest match across a border of two
_BEFORE, _SHOWN = 100, 400  # characters before the match, and of the excerpt in total
_NAMES: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


class SearchPosition(msgspec.Struct, frozen=True, order=True):
    """Line in the logs of a run, in search order: number of the step (as of ``log_streams``), stream, line."""

    step: int
    stream: int
    line: int

    def __str__(self) -> str:
        """Format the position for clients."""
        return f"{self.step}.{self.stream}.{self.line}"


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Words or expression to search, maximum number of hits, and position to continue after.

    Without ``seconds`` the search has twenty.
    """

    text: str
    is_expression: bool = False
    limit: int = 100
    after: SearchPosition | None = None
    seconds: float | None = None


class LogStream(msgspec.Struct, frozen=True):
    """Stream of a step with output, or both as one: number and name of the step, key, last chunk, id of a sub-run."""

    order: int
    step: str
    key: StreamKey
    last: int  # number of its last chunk
    sub_run: str | None = None


WholeStream = tuple[LogStream, Sequence[ChunkText]]


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """Matching line: ``text`` is an excerpt that starts at ``column`` of the line.

    ``start`` and ``end`` are the range of the first match in ``text``. Lines and columns count from 1. Without
    ``stream`` the line is one of both streams as one. ``dag_run_id`` is that of a sub-run.
    """

    step: str
    stream: Literal["stdout", "stderr"] | None
    dag_run_id: str | None
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
    """Complete lines of a stream, or a part of a very long line after its first ``skipped`` characters."""

    line: int
    text: str
    skipped: int = 0

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.line + max(self.text.count("\n") - 1, 0)

    def after(self, line: int) -> TextBlock:
        """Return the block without the lines up to and including ``line``."""
        begin = 0
        for _ in range(self.line, line + 1):
            begin = self.text.find("\n", begin) + 1
            if not begin:
                return TextBlock(line + 1, "")
        return TextBlock(line + 1, self.text[begin:]) if begin else self


def read_position(text: str) -> SearchPosition:
    """Parse the position to continue a search after; raises BadRequestError."""
    parts = text.split(".")
    if len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):  # noqa: PLR2004
        return SearchPosition(*map(int, parts))
    raise BadRequestError(f"after: {shorten(text)} is no search position; send the 'next' of the previous page")


def check_query(text: str) -> None:
    """Check the text of a query; raises BadRequestError."""
    if not text:
        raise BadRequestError("q: is empty; give words to search, or a regular expression with regex=true")
    if len(text) > _MAX_QUERY:
        raise BadRequestError(f"q: has {len(text)} characters; give at most {_MAX_QUERY}")
    if "\n" in text or "\0" in text:
        raise BadRequestError("q: contains a line end or a NUL character; give text from within one line")


def log_streams(nodes: Sequence[NodeOutput], run: int, streams: Sequence[int]) -> list[LogStream]:
    """List the streams of nodes with output: those of ``run`` first, of each run the steps first. Pure."""
    ordered = sorted(nodes, key=lambda node: (node.run_id != run, node.run_id, node.position < 0, abs(node.position)))
    found = []
    for order, node in enumerate(ordered):
        written = [last for last in (node.stdout, node.stderr) if last is not None]
        lasts = {1: node.stdout, 2: node.stderr, BOTH: sum(written) + len(written) - 1 if written else None}
        sub_run = None if node.run_id == run else node.dag_run_id
        for stream in streams:
            key = StreamKey(node.run_id, node.attempt, node.position, stream)
            if (last := lasts[stream]) is not None:
                found.append(LogStream(order, node.name, key, last, sub_run))
    return found


class LogSearch:
    """Log search of this server, a few at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Threads of their own: others must not wait for searches.
        self._threads = ThreadPoolExecutor(_CONCURRENT, thread_name_prefix="log-search")

    async def find(self, streams: Sequence[LogStream], query: SearchQuery) -> HitPage:
        """Find a page of hits; raises BadRequestError for an expression that is invalid or takes too long."""
        try:
            expression = line_expression(query.text, literal=not query.is_expression, ignore_case=True)
            return await _Search(self._database, self._threads, expression, query).run(streams)
        except ExpressionError as error:
            raise BadRequestError(f"q: {error}") from error

    async def find_in(self, groups: Sequence[Sequence[WholeStream]], query: SearchQuery) -> list[list[Hit]]:
        """Find the first hits in each group of streams that were read whole.

        For many short ones, because reading them one by one takes twenty times as long.
        """
        try:
            expression = line_expression(query.text, literal=not query.is_expression, ignore_case=True)
            work = partial(_find_in, expression, groups, query.limit)
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except ExpressionError as error:
            raise BadRequestError(f"q: {error}") from error


def _find_in(expression: Expression, groups: Sequence[Sequence[WholeStream]], most: int) -> list[list[Hit]]:
    found: list[list[Hit]] = []
    for group in groups:
        hits: list[Hit] = []
        for stream, chunks in group:
            if len(hits) == most:
                break
            block = TextBlock(1, unix_lines("".join(chunk.content for chunk in chunks)))
            spans = find_lines(expression, block.text, most=most - len(hits))
            hits += [to_hit(stream, span.line, block, span) for span in spans]
        found.append(hits)
    return found


class _Search:
    """State of one active search."""

    def __init__(
        self, database: Database, threads: ThreadPoolExecutor, expression: Expression, query: SearchQuery
    ) -> None:
        self._database = database
        self._threads = threads
        self._expression = expression
        self._query = query
        self._until = monotonic() + (_TIMEOUT_SECONDS if query.seconds is None else query.seconds)
        self._most = query.limit + 1 if query.after else max(_MAX_COUNTED, query.limit + 1)
        self._count = 0
        self._hits: list[Hit] = []
        self._last: SearchPosition | None = query.after  # of the last hit on the page, or of the last line searched

    async def run(self, streams: Sequence[LogStream]) -> HitPage:
        """Search the streams until there are enough hits or the time limit is reached."""
        done, after = True, self._query.after
        for stream in streams:
            is_before = after is not None and (stream.order, stream.key.stream) < (after.step, after.stream)
            if done and not is_before:
                done = await self._search_stream(stream)
        is_first = after is None
        has_more = self._last is not None and (not done or self._count > len(self._hits))
        return HitPage(
            hits=self._hits,
            total=self._count if is_first else None,
            is_estimate=not done if is_first else None,
            next=str(self._last) if has_more else None,
        )

    async def _search_stream(self, stream: LogStream) -> bool:
        """Search one stream; returns whether its end was reached."""
        start, after = 0, self._query.after
        if after is not None and (stream.order, stream.key.stream) == (after.step, after.stream):
            start = after.line
        last_hit = start
        async for block in blocks(self._database, stream, last_hit + 1):
            rest = block.after(last_hit)
            for span in await self._spans(rest):
                last_hit = rest.line + span.line - 1
                self._add_hit(stream, rest, span)
            if self._count >= self._most:
                return False
            if block.last > start and monotonic() > self._until:
                if len(self._hits) < self._query.limit:  # otherwise the next page continues after the last hit
                    self._last = SearchPosition(stream.order, stream.key.stream, block.last)
                return False
        return True

    async def _spans(self, block: TextBlock) -> list[Span]:
        """Search in a thread: RE2 releases the GIL."""
        until = monotonic() + _BLOCK_SECONDS
        work = partial(
            find_lines, self._expression, block.text, most=self._most - self._count, proceed=lambda: monotonic() < until
        )
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _add_hit(self, stream: LogStream, block: TextBlock, span: Span) -> None:
        self._count += 1
        if len(self._hits) < self._query.limit:
            line = block.line + span.line - 1
            self._hits.append(to_hit(stream, line, block, span))
            self._last = SearchPosition(stream.order, stream.key.stream, line)


async def blocks(database: Database, stream: LogStream, line: int) -> AsyncIterator[TextBlock]:
    """Read a stream from a line, or from shortly before it, in blocks of complete lines."""
    rest, number, skipped = "", 0, 0
    read = _read_both if stream.key.stream == BOTH else _read_one
    async for first_line, added in read(database, stream, line):
        number = number or first_line
        text = rest + added
        end = text.rfind("\n") + 1
        if not end and len(text) < _MAX_LINE:
            rest = text
            continue
        yield TextBlock(number, unix_lines(text[:end] or text), skipped)
        rest = text[end:] if end else text[-_OVERLAP:]
        skipped = 0 if end else skipped + len(text) - len(rest)
        number += text.count("\n")
    if rest:
        yield TextBlock(number, unix_lines(rest), skipped)


async def _read_one(database: Database, stream: LogStream, line: int) -> AsyncIterator[tuple[int, str]]:
    """Yield consecutive texts of a stream, each with the number of the line in which it starts."""
    key, seq = stream.key, 0
    if line > 1:
        seq = await database.read(logs.find_first, key, line)
    while seq <= stream.last and (rows := await database.read(logs.find_block, key, seq)):
        yield rows[0].first_line, "".join(row.text for row in rows)
        seq = rows[-1].seq + 1


async def _read_both(database: Database, stream: LogStream, line: int) -> AsyncIterator[tuple[int, str]]:
    """Yield consecutive texts of both streams, as ``_read_one`` does."""
    at = await database.read(merged_logs.find_line, stream.key, line)
    while at.ordinal <= stream.last and (chunks := await database.read(merged_logs.read_block, stream.key, at)):
        yield chunks[0].line, "".join(chunk.text for chunk in chunks)
        at = at.after(chunks)


def to_hit(stream: LogStream, line: int, block: TextBlock, span: Span) -> Hit:
    """Make a hit with the line, or with an excerpt of a long line around the match. Pure."""
    start, end = span.match_start, span.match_end
    line_end = block.text.find("\n", span.start)
    text = block.text[span.start : line_end if line_end >= 0 else len(block.text)]
    first = max(start - _BEFORE, 0) if len(text) > _SHOWN else 0
    excerpt = text[first : first + _SHOWN]
    return Hit(
        step=stream.step,
        stream=_NAMES.get(stream.key.stream),
        dag_run_id=stream.sub_run,
        line=line,
        column=first + 1 + (block.skipped if span.line == 1 else 0),
        text=excerpt,
        start=start - first,
        end=min(end - first, len(excerpt)),
    )
