"""Use case: look for an expression in the texts of all stored DAGs (api-behaviour op 26)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import msgspec

from app.db.database import Database
from app.db.repositories import dags
from app.db.repositories.reading import Row
from app.definitions import grep
from app.definitions.matching import ExpressionError, matching
from app.errors import BadRequestError

_SPECIAL = frozenset(r".^$*+?{}[]\|()")
_AROUND = 2
_BREATH = 100  # how many texts are looked through before others get a turn


class Block(msgspec.Struct, frozen=True):
    """A line that matches, with the lines around it; numbers count from 1."""

    line: int
    first: int
    text: str


class Hit(msgspec.Struct, frozen=True):
    """A stored DAG with lines that match."""

    row: Row
    blocks: Sequence[Block]


class Found(msgspec.Struct, frozen=True):
    """What a search has brought, and what was wrong with the expression."""

    hits: Sequence[Hit] = ()
    problem: str = ""


class Search:
    """Searches stored definitions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, expression: str) -> Found:
        """Find the lines that match a regular expression, whatever their case, by file name.

        Raises BadRequestError when it is empty. What else is wrong with it is said in the result.
        """
        if not expression:
            raise BadRequestError("q: is empty; give a word or a regular expression to look for")
        if "\0" in expression:
            return Found()
        if _SPECIAL.isdisjoint(expression):
            return await self._find_words(expression)
        return await self._find_expression(expression)

    async def _find_words(self, words: str) -> Found:
        # What the database finds has to be seen again: it minds the case of letters beyond ASCII.
        part = words if words.isascii() else ""
        rows = await self._database.read(lambda connection: dags.find_holding(connection, part))
        pattern = re.compile(re.escape(words), re.IGNORECASE)
        found = []
        for number, row in enumerate(rows, 1):
            text = row["spec"] or ""
            if pattern.search(text) and (lines := grep.hits(pattern, text)):
                found.append(Hit(row, blocks(text, lines)))
            if number % _BREATH == 0:
                await asyncio.sleep(0)
        return Found(found)

    async def _find_expression(self, expression: str) -> Found:
        rows = await self._database.read(lambda connection: dags.find_holding(connection, ""))
        texts = [row["spec"] or "" for row in rows]
        try:
            async with matching() as matcher:
                found = await matcher.find(texts, expression=expression)
        except ExpressionError as error:
            return Found(problem=f"q: {error}")
        lines = [[number for number, *_ in spans] for spans in found]
        hits = zip(rows, texts, lines, strict=True)
        return Found([Hit(row, blocks(text, numbers)) for row, text, numbers in hits if numbers])


def blocks(text: str, numbers: Sequence[int]) -> list[Block]:
    """Cut each of these lines out of a text, with up to two lines before and after it. Pure."""
    lines = grep.split_lines(text)
    return [_block(lines, number) for number in numbers]


def _block(lines: Sequence[str], number: int) -> Block:
    first = max(number - _AROUND, 1)
    return Block(line=number, first=first, text="\n".join(lines[first - 1 : number + _AROUND]))
