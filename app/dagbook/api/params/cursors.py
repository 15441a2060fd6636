"""Cursors of lists of runs, and of searches in them: opaque texts from which a list continues."""

from __future__ import annotations

import base64
from datetime import datetime

import msgspec

from dagbook.db.repositories.runs.run_filter import RunCursor
from dagbook.errors import BadRequestError
from dagbook.identifiers import LONGEST_RUN_ID, shorten

_MAX_CHARACTERS = 400
_MAX_KEY = 2**63
_MAX_PLACE = 10**9


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Position in a list; and its lower bound if that was the default, midnight, which may pass between two pages.

    ``within`` is for searches: the key of the next run, and the step, stream and line in its output.
    """

    position: RunCursor
    since: datetime | None = None
    within: tuple[int, int, int, int] | None = None


_decoder = msgspec.json.Decoder(Cursor)


def write_cursor(position: RunCursor, since: datetime | None, within: tuple[int, int, int, int] | None = None) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(Cursor(position, since, within))).rstrip(b"=").decode()


def read_cursor(text: str) -> Cursor:
    """Parse a text of ``write_cursor``; raises BadRequestError."""
    try:
        return _read(text)
    except (ValueError, msgspec.DecodeError) as error:
        raise BadRequestError(
            f"cursor: {shorten(text)} is not valid; use nextCursor of a response, or leave it out for the newest runs"
        ) from error


def _read(text: str) -> Cursor:
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(text)
    cursor = _decoder.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    position = cursor.position
    naive = any(at is not None and at.tzinfo is None for at in (position.created_at, cursor.since))
    run_id, key = position.run_id or "", position.key or 0
    if naive or (position.run_id is None) != (position.key is None) or "\0" in run_id:
        raise ValueError(position)
    run, *place = cursor.within or (0,)
    if not 0 <= run < _MAX_KEY or not all(0 <= number < _MAX_PLACE for number in place):
        raise ValueError(cursor.within)
    if len(run_id) > LONGEST_RUN_ID or not -_MAX_KEY <= key < _MAX_KEY:
        raise ValueError(position)
    return cursor
