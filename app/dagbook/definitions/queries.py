"""Reads of stored DAGs that several entry points share, and search in their texts (api-behaviour op 26)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories import dags
from dagbook.db.repositories.dags import DagRow
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import is_name, shorten, strip_suffix
from dagbook.regex.client import ExpressionError, open_regex_worker
from dagbook.regex.worker import matching_lines, split_lines
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import Loaded


def load_stored(library: DefinitionCache, row: DagRow) -> Loaded:
    """Parse the definition of a stored DAG, valid or not."""
    return library.read(row.spec or "", name=row.file_name)


async def parse_missing(library: DefinitionCache, rows: Sequence[DagRow]) -> None:
    """Parse the definitions of stored DAGs that are not cached, in a thread: a thousand of them take seconds."""
    missing = [row for row in rows if not library.is_cached(row.spec or "", name=row.file_name)]
    if missing:
        await asyncio.to_thread(lambda: [load_stored(library, row) for row in missing])


async def require_dag(database: Database, file_name: str) -> DagRow:
    """Return a stored DAG; raises NotFoundError."""
    name = strip_suffix(file_name)
    row = None
    if is_name(name):
        row = await database.read_inline(lambda connection: dags.get(connection, name))
    if row is None:
        raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
    return row


_SPECIAL = frozenset(r".^$*+?{}[]\|()")
_CONTEXT_LINES = 2
_YIELD_EVERY = 100  # texts that are searched before the event loop gets a turn


class MatchBlock(msgspec.Struct, frozen=True):
    """A matching line with its context; numbers count from 1."""

    line: int
    first: int
    text: str


class SearchHit(msgspec.Struct, frozen=True):
    """A stored DAG with matching lines."""

    row: DagRow
    blocks: Sequence[MatchBlock]


class SearchResult(msgspec.Struct, frozen=True):
    """The hits of a search, or the problem of its expression."""

    hits: Sequence[SearchHit] = ()
    problem: str = ""


class Search:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, expression: str) -> SearchResult:
        """Find the lines that match a regular expression, ignoring case, by file name.

        Raises BadRequestError if it is empty. Any other problem is part of the result.
        """
        if not expression:
            raise BadRequestError("q: is empty; give a word or a regular expression to search for")
        if "\0" in expression:
            return SearchResult()
        if _SPECIAL.isdisjoint(expression):
            return await self._find_words(expression)
        return await self._find_expression(expression)

    async def _find_words(self, words: str) -> SearchResult:
        # The database's result is filtered again: it is case-sensitive beyond ASCII.
        part = words if words.isascii() else ""
        rows = await self._database.read(lambda connection: dags.find_holding(connection, part))
        pattern = re.compile(re.escape(words), re.IGNORECASE)
        found = []
        for number, row in enumerate(rows, 1):
            text = row.spec or ""
            if pattern.search(text) and (lines := matching_lines(pattern, text)):
                found.append(SearchHit(row, blocks(text, lines)))
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return SearchResult(found)

    async def _find_expression(self, expression: str) -> SearchResult:
        rows = await self._database.read(lambda connection: dags.find_holding(connection, ""))
        texts = [row.spec or "" for row in rows]
        try:
            async with open_regex_worker() as matcher:
                found = await matcher.find(texts, expression=expression)
        except ExpressionError as error:
            return SearchResult(problem=f"q: {error}")
        lines = [[number for number, *_ in spans] for spans in found]
        hits = zip(rows, texts, lines, strict=True)
        return SearchResult([SearchHit(row, blocks(text, numbers)) for row, text, numbers in hits if numbers])


def blocks(text: str, numbers: Sequence[int]) -> list[MatchBlock]:
    """Return each of these lines with up to two lines before and after it. Pure."""
    lines = split_lines(text)
    firsts = [max(number - _CONTEXT_LINES, 1) for number in numbers]
    return [
        MatchBlock(line=number, first=first, text="\n".join(lines[first - 1 : number + _CONTEXT_LINES]))
        for number, first in zip(numbers, firsts, strict=True)
    ]
