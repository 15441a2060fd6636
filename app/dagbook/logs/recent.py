"""Search for a text in the errors and the output of the newest runs, in bounded memory and time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.logs import interleaved_logs, logs
from dagbook.db.repositories.logs.interleaved_logs import NodeOutput
from dagbook.db.repositories.runs import run_list, run_search
from dagbook.db.repositories.runs.run_filter import Page, RunCursor, RunFilter
from dagbook.db.repositories.runs.run_search import FoundError
from dagbook.logs.search import Hit, LogSearch, LogStream, SearchPosition, SearchQuery, log_streams, read_position

_SECONDS = 2.0  # then the response has what was found so far, and the position to continue from
_ENOUGH = 100  # errors, or lines, after which a response ends
_OF_ROOT = 5  # errors, and lines, of a root run and the runs below it
_ROOTS = 50  # root runs that are read at a time, with the runs below them:
_MAX_NODES = 2_000  # at most so many nodes,
_MAX_BYTES = 4 * 1024 * 1024  # and so many bytes of output; a root run with more is searched by itself
_STREAMS = (1, 2)
_BEGIN = SearchPosition(0, 0, 0)


class Within(msgspec.Struct, frozen=True):
    """Position in the output of a root run, by its key, of which the rest has not been searched yet."""

    root: int
    position: SearchPosition


class RecentCursor(msgspec.Struct, frozen=True):
    """Position after the runs that have been searched, and within the next one."""

    after: RunCursor
    within: Within | None = None


class RecentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched: a text, in visible root runs created since a time, from a position on."""

    text: str
    since: datetime
    visibility: Visibility
    start: RecentCursor | None = None


class Root(msgspec.Struct, frozen=True):
    """A root run, and the position after it."""

    key: int
    dag_name: str
    run_id: str
    cursor: RunCursor


class RecentHits(msgspec.Struct, frozen=True):
    """What was found, with the root runs, the newest first; where to continue is None when all has been searched."""

    errors: list[tuple[Root, FoundError]]
    lines: list[tuple[Root, Hit]]
    searched_from: datetime
    roots: int  # the number of root runs that were searched to their ends
    next: RecentCursor | None


class RecentSearch:
    """Search in what recent runs wrote; of its own it has neither threads nor limits."""

    def __init__(self, database: Database, log_search: LogSearch) -> None:
        self._database = database
        self._log_search = log_search

    async def find(self, query: RecentQuery) -> RecentHits:
        """Search from a position on, until there are enough hits or the time limit is reached."""
        return await _RecentSearch(self._database, self._log_search, query).run()


class _RecentSearch:
    """State of one active search."""

    def __init__(self, database: Database, log_search: LogSearch, query: RecentQuery) -> None:
        self._database = database
        self._log_search = log_search
        self._query = query
        self._until = monotonic() + _SECONDS
        self._after = query.start.after if query.start else None
        self._within = query.start.within if query.start else None
        self._errors: list[tuple[Root, FoundError]] = []
        self._lines: list[tuple[Root, Hit]] = []
        self._roots = 0

    async def run(self) -> RecentHits:
        """Search root runs in the order of lists, some of them whatever the time."""
        has_more = await self._search_page()
        while has_more and not self._is_over():
            has_more = await self._search_page()
        start = RecentCursor(self._after, self._within) if has_more and self._after else None
        searched_from = start.after.created_at if start else self._query.since
        return RecentHits(self._errors, self._lines, searched_from, self._roots, start)

    async def _search_page(self) -> bool:
        """Search the next root runs, or the first ones of them; returns whether there are more."""
        roots, after = await self._database.read(_find_roots, self._query, self._after)
        while roots:
            done = await self._search_first(roots)
            self._roots += done
            first = RunCursor(roots[0].cursor.created_at + timedelta(microseconds=1))  # before the first run of all
            self._after = roots[done - 1].cursor if done else self._after or first
            roots = roots[done:]
            if roots and self._is_over():
                return True
        self._after = after
        return after is not None

    def _is_over(self) -> bool:
        return monotonic() > self._until or max(len(self._errors), len(self._lines)) >= _ENOUGH

    async def _search_first(self, roots: Sequence[Root]) -> int:
        """Search the first ones of these; returns how many, none if the time has ended within the first one."""
        within, self._within = self._within, None
        if within is not None and within.root == roots[0].key:
            return await self._search_long(roots[0], within.position)
        keys = [root.key for root in roots]
        nodes = await self._database.read(interleaved_logs.find_nodes, keys, sub_runs=True, most=_MAX_NODES + 1)
        if len(nodes) > _MAX_NODES and len(roots) > 1:
            return await self._search_first(roots[: len(roots) // 2])
        count = 0 if len(nodes) > _MAX_NODES else _count_short(keys, nodes)
        first = roots[: count or 1]
        keys = [root.key for root in first]
        rows = await self._database.read(run_search.find_errors, keys, self._query.text, _OF_ROOT)
        self._errors += [(root, row) for root in first for row in rows if row.root == root.key]
        if not count:
            return await self._search_long(roots[0], _BEGIN)
        await self._search_short(roots[:count], nodes)
        return count

    async def _search_short(self, roots: Sequence[Root], nodes: Sequence[NodeOutput]) -> None:
        """Search the output of many runs, which is read at once."""
        streams = {root.key: [node for node in nodes if node.top == root.key and node.bytes] for root in roots}
        written = [(node.run_id, node.attempt, node.position) for some in streams.values() for node in some]
        chunks = await self._database.read(logs.find_all, written)
        groups = [
            [(stream, chunks.get(stream.key, ())) for stream in log_streams(some, key, _STREAMS)]
            for key, some in streams.items()
        ]
        found = await self._log_search.find_in(groups, self._make_query(_BEGIN))
        self._lines += [(root, hit) for root, hits in zip(roots, found, strict=True) for hit in hits]

    async def _search_long(self, root: Root, position: SearchPosition) -> int:
        """Search the output of one run, which is read in blocks, until there are enough hits of it."""
        nodes = await self._database.read(interleaved_logs.find_nodes, [root.key], sub_runs=True)
        streams: list[LogStream] = log_streams(nodes, root.key, _STREAMS)
        found = await self._log_search.find(streams, self._make_query(position))
        self._lines += [(root, hit) for hit in found.hits]
        if found.next is None or len(found.hits) >= _OF_ROOT:
            return 1
        self._within = Within(root.key, read_position(found.next))
        return 0

    def _make_query(self, position: SearchPosition) -> SearchQuery:
        left = max(self._until - monotonic(), 0.0)
        return SearchQuery(text=self._query.text, limit=_OF_ROOT, after=position, seconds=left)


def _find_roots(
    connection: ReadConnection, query: RecentQuery, after: RunCursor | None
) -> tuple[list[Root], RunCursor | None]:
    """Return the next root runs, and the position after them if there are more."""
    wanted = RunFilter(since=query.since, visibility=query.visibility)
    page = run_list.find_page(connection, wanted, Page(limit=_ROOTS, after=after, bounded=True))
    return [Root(run.key, run.dag_name, run.run_id, run.cursor(connection)) for run in page.runs], page.next


def _count_short(keys: Sequence[int], nodes: Sequence[NodeOutput]) -> int:
    """Count the first ones of root runs whose output fits into what is read at once. Pure."""
    size = 0
    for count, key in enumerate(keys):
        size += sum(node.bytes for node in nodes if node.top == key)
        if size > _MAX_BYTES:
            return count
    return len(keys)
