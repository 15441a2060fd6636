"""The lines of a copy of the audit: JSON, an entry or a seal each. Pure."""

from __future__ import annotations

import msgspec

from dagbook.db.repositories.audit import AuditRow, SealRow


class CopyLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line: an entry, whose ``before`` and ``after`` are the stored texts, or a seal, without its digests."""

    entry: AuditRow | None = None
    seal: SealRow | None = None


def encode_entry(entry: AuditRow) -> bytes:
    return msgspec.json.encode(CopyLine(entry=entry)) + b"\n"


def encode_seal(seal: SealRow) -> bytes:
    """Encode what never changes of a seal."""
    return msgspec.json.encode(CopyLine(seal=msgspec.structs.replace(seal, marks=None, pruned_at=None))) + b"\n"


def decode(line: bytes) -> CopyLine | None:
    """Decode a line; None if it is damaged."""
    try:
        found = msgspec.json.decode(line, type=CopyLine)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if (found.entry is None) == (found.seal is None) else found
