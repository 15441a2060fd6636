"""Cursors: where a list of runs goes on, in a text that only this server has to understand."""

from __future__ import annotations

import base64
from datetime import datetime

import msgspec

from dagbook.db.repositories.runs.run_filter import RunCursor
from dagbook.errors import BadRequestError
from dagbook.identifiers import LONGEST_RUN_ID, shorten

_MAX_CHARACTERS = 400
_MAX_KEY = 2**63


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list, and the beginning of the list where that was not asked for: midnight may come in between."""

    place: RunCursor
    since: datetime | None = None


_decoder = msgspec.json.Decoder(Cursor)


def write_cursor(place: RunCursor, since: datetime | None) -> str:
    """Write where a list goes on."""
    return base64.urlsafe_b64encode(msgspec.json.encode(Cursor(place, since))).rstrip(b"=").decode()


def read_cursor(text: str) -> Cursor:
    """Read what ``write_cursor`` wrote; raises BadRequestError."""
    try:
        return _read(text)
    except (ValueError, msgspec.DecodeError) as error:
        raise BadRequestError(
            f"cursor: {shorten(text)} comes from no answer; give nextCursor of one, or nothing for the newest runs"
        ) from error


def _read(text: str) -> Cursor:
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(text)
    cursor = _decoder.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    place = cursor.place
    naive = any(at is not None and at.tzinfo is None for at in (place.created_at, cursor.since))
    run_id, key = place.run_id or "", place.key or 0
    if naive or (place.run_id is None) != (place.key is None) or "\0" in run_id:
        raise ValueError(place)
    if len(run_id) > LONGEST_RUN_ID or not -_MAX_KEY <= key < _MAX_KEY:
        raise ValueError(place)
    return cursor
