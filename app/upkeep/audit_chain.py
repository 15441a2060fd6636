"""What a seal over audit entries is made of. Pure.

An entry's hash is of its values in one way of writing; a seal's digest is of the hashes of its entries, and its hash of
all that the seal says and of the hash before it. So whoever knows one seal's hash knows everything before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

Row = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIELDS = (
    "id",
    "at",
    "actor",
    "via",
    "user_id",
    "token_id",
    "token_name",
    "address",
    "request_id",
    "action",
    "kind",
    "name",
    "before",
    "after",
    "outcome",
)
_HEAD = ("number", "first_id", "last_id", "entries", "digest", "sealed_at")
_ID_BYTES, _MARK_BYTES = 8, 8


class Mark(NamedTuple):
    """One entry as a seal remembers it: its id, and the beginning of its hash."""

    id: int
    begin: bytes


def entry_hash(entry: Row) -> bytes:
    """Return the hash of an entry, whose ``before`` and ``after`` are the stored texts."""
    return sha256(msgspec.json.encode([_number_of(entry[name]) for name in _FIELDS])).digest()


def digest_of(hashes: Sequence[bytes]) -> str:
    """Return the digest of entries, given their hashes in order."""
    return sha256(b"".join(hashes)).hexdigest()


def seal_hash(seal: Row, previous: str) -> str:
    """Return the hash of a seal, given the hash of the one before it, which for the first is empty."""
    return sha256(msgspec.json.encode([previous, *(_number_of(seal[name]) for name in _HEAD)])).hexdigest()


def make_seal(number: int, entries: Sequence[Row], previous: str, at: datetime) -> dict[str, Any]:
    """Make a seal over entries, but for its signature."""
    hashes = [entry_hash(entry) for entry in entries]
    seal = {
        "number": number,
        "first_id": entries[0]["id"],
        "last_id": entries[-1]["id"],
        "entries": len(entries),
        "digest": digest_of(hashes),
        "sealed_at": at,
        "marks": b"".join(_mark(entry["id"], hashed) for entry, hashed in zip(entries, hashes, strict=True)),
    }
    return {**seal, "hash": seal_hash(seal, previous)}


def read_marks(marks: bytes) -> list[Mark]:
    """Return what a seal remembers of its entries."""
    size = _ID_BYTES + _MARK_BYTES
    parts = [marks[start : start + size] for start in range(0, len(marks), size)]
    return [Mark(int.from_bytes(part[:_ID_BYTES]), part[_ID_BYTES:]) for part in parts]


def mark_of(entry: Row) -> Mark:
    """Return what a seal made now would remember of an entry."""
    return Mark(entry["id"], entry_hash(entry)[:_MARK_BYTES])


def about(number: int) -> str:
    """Name a seal to whoever signs it."""
    return f"audit seal {number}"


def _mark(key: int, hashed: bytes) -> bytes:
    return key.to_bytes(_ID_BYTES) + hashed[:_MARK_BYTES]


def _number_of(value: Any) -> Any:
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value
