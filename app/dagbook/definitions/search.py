"""Search for lines in the texts of stored DAGs (api-behaviour op 26)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic

import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories import dags
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.dags import DagRow
from dagbook.errors import BadRequestError
from dagbook.spec.expressions import Expression, ExpressionError, find_lines, line_expression, unix_lines

_SPECIAL = frozenset(r".^$*+?{}[]\|()")
_CONTEXT_LINES = 2
_CONCURRENT = 8  # searches of one server; the API admits no more, and two of one caller
_TIMEOUT_SECONDS = 10.0
_QUICK_WORK = 100_000  # bytes of text times instructions; with a hit in each line, some 40 ms


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
        # Threads of their own: others must not wait for searches.
        self._threads = ThreadPoolExecutor(_CONCURRENT, thread_name_prefix="search")

    async def find(self, expression: str, visibility: Visibility = EVERYTHING) -> SearchResult:
        """Find the lines of visible DAGs that match a regular expression, ignoring case, by file name.

        Raises BadRequestError if it is empty. Any other problem is part of the result.
        """
        if not expression:
            raise BadRequestError("q: is empty; give a word or a regular expression to search for")
        if "\0" in expression:
            return SearchResult()
        is_literal = _SPECIAL.isdisjoint(expression)
        try:
            compiled = line_expression(expression, literal=is_literal, ignore_case=True)
            # The database narrows the search down to texts with the word, but is case-sensitive beyond ASCII.
            part = expression if is_literal and expression.isascii() else ""
            rows = await self._database.read(lambda connection: dags.find_holding(connection, part, visibility))
            # A thread that takes turns with a busy loop waits longer for its turn than a short search takes.
            if sum(len(row.spec or "") for row in rows) * compiled.size < _QUICK_WORK:
                return SearchResult(_search(compiled, rows))
            work = partial(_search, compiled, rows)
            return SearchResult(await asyncio.get_running_loop().run_in_executor(self._threads, work))
        except ExpressionError as error:
            return SearchResult(problem=f"q: {error}")


def _search(expression: Expression, rows: Sequence[DagRow]) -> list[SearchHit]:
    """Search in all texts; raises ExpressionError."""
    until = monotonic() + _TIMEOUT_SECONDS
    found = []
    for row in rows:
        text = row.spec or ""
        if spans := find_lines(expression, text, proceed=lambda: monotonic() < until):
            found.append(SearchHit(row, blocks(text, [span.line for span in spans])))
    return found


def blocks(text: str, numbers: Sequence[int]) -> list[MatchBlock]:
    """Return each of these lines with up to two lines before and after it. Pure."""
    lines = unix_lines(text).removesuffix("\n").split("\n")
    firsts = [max(number - _CONTEXT_LINES, 1) for number in numbers]
    return [
        MatchBlock(line=number, first=first, text="\n".join(lines[first - 1 : number + _CONTEXT_LINES]))
        for number, first in zip(numbers, firsts, strict=True)
    ]
