"""The hashes of the seals over audit entries. Pure.

An entry's hash is that of its canonical JSON; a seal's digest is the hash of its entries' hashes, and its hash covers
all fields of the seal and the hash of the previous seal. So one seal's hash proves everything before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

import msgspec

from dagbook.db.repositories.audit import SealedEntry, SealRow

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
_ID_BYTES, _DIGEST_BYTES = 8, 8


class EntryDigest(NamedTuple):
    """An entry in a seal: its id, and the first bytes of its hash."""

    id: int
    begin: bytes


def entry_hash(entry: SealedEntry) -> bytes:
    """Return the hash of an entry, whose ``before`` and ``after`` are the stored texts."""
    return sha256(msgspec.json.encode([_canonical(getattr(entry, name)) for name in _FIELDS])).digest()


def digest_of(hashes: Sequence[bytes]) -> str:
    """Return the digest of entries, given their hashes in order."""
    return sha256(b"".join(hashes)).hexdigest()


def seal_hash(seal: SealRow, previous: str) -> str:
    """Return the hash of a seal, given the hash of the one before it, which for the first is empty."""
    return sha256(msgspec.json.encode([previous, *seal_head(seal).values()])).hexdigest()


def seal_head(seal: SealRow) -> dict[str, object]:
    """Return the fields that the hash of a seal covers."""
    # In a seal of version 0.1.0 there is no pruned_up_to.
    names = _HEAD if seal.pruned_up_to is None else (*_HEAD, "pruned_up_to")
    return {name: _canonical(getattr(seal, name)) for name in names}


def make_seal(
    number: int, entries: Sequence[SealedEntry], previous: str, at: datetime, pruned_up_to: int | None = 0
) -> SealRow:
    """Make an unsigned seal over entries; ``pruned_up_to`` if one of them is a pruning up to that entry."""
    hashes = [entry_hash(entry) for entry in entries]
    seal = SealRow(
        number=number,
        first_id=entries[0].id,
        last_id=entries[-1].id,
        entries=len(entries),
        digest=digest_of(hashes),
        hash="",
        signature=b"",
        sealed_at=at,
        pruned_at=None,
        marks=b"".join(
            entry.id.to_bytes(_ID_BYTES) + hashed[:_DIGEST_BYTES] for entry, hashed in zip(entries, hashes, strict=True)
        ),
        pruned_up_to=pruned_up_to,
    )
    return msgspec.structs.replace(seal, hash=seal_hash(seal, previous))


def read_digests(marks: bytes) -> list[EntryDigest]:
    """Decode the entries of a seal."""
    size = _ID_BYTES + _DIGEST_BYTES
    parts = [marks[start : start + size] for start in range(0, len(marks), size)]
    return [EntryDigest(int.from_bytes(part[:_ID_BYTES]), part[_ID_BYTES:]) for part in parts]


def entry_digest(entry: SealedEntry) -> EntryDigest:
    """Return the digest that a new seal would have of an entry."""
    return EntryDigest(entry.id, entry_hash(entry)[:_DIGEST_BYTES])


def seal_context(number: int) -> str:
    """Return the context that the signature of a seal is bound to."""
    return f"audit seal {number}"


def pruned_by(entry: SealedEntry) -> int:
    """Return the last entry that an ``audit.prune`` entry records as deleted; 0 if it records none."""
    try:
        return msgspec.json.decode(entry.after or "", type=_Pruning).up_to
    except msgspec.MsgspecError:
        return 0


def pruning_covered(seal: SealRow, previous: SealRow | None, prunings: Sequence[SealedEntry]) -> int:
    """Return the last entry whose deletion a seal covers, given its ``audit.prune`` entries; 0 for none.

    Only the server that prunes puts that entry into the head of a seal. A server of version 0.1.0 did not, and the last
    entries that it wrote may be in the first seal of a later one: there the entries count.
    """
    if seal.pruned_up_to:
        return seal.pruned_up_to
    if seal.pruned_up_to is None or (previous is not None and previous.pruned_up_to is None):
        return min(max(map(pruned_by, prunings), default=0), seal.first_id - 1)
    return 0


class _Pruning(msgspec.Struct, rename="camel"):
    up_to: int


def _canonical(value: object) -> object:
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value
