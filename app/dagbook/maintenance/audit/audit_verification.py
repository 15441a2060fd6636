"""Verifies that the audit is unchanged: reads all entries and seals, and reports the first difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import AuditRow, SealRow
from dagbook.errors import AppError
from dagbook.maintenance.audit.audit_chain import (
    EntryDigest,
    digest_of,
    entry_digest,
    entry_hash,
    read_digests,
    seal_context,
    seal_hash,
)
from dagbook.maintenance.audit.audit_sealing import EncryptsSeals

_SEALS, _ENTRIES = 200, 2_000


class KnownSeal(msgspec.Struct, frozen=True):
    """A seal whose hash was recorded outside of the database."""

    number: int
    hash: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the audit; ``broken`` describes the first error, or is empty."""

    entries: int = 0
    sealed_up_to: int = 0
    unsealed: int = 0
    pruned_up_to: int = 0
    seal: KnownSeal | None = None
    broken: str = ""


class _BrokenError(Exception):
    """An entry or seal differs from what was sealed."""


def verify(connection: ReadConnection, signer: EncryptsSeals, known: KnownSeal | None = None) -> Verified:
    """Verify everything in one snapshot of the database; ``known`` has to be among the seals."""
    audit.begin_repeatable_read(connection)
    verifier = _Verifier(connection, signer, known)
    try:
        verifier.run()
    except _BrokenError as error:
        return verifier.report(str(error))
    return verifier.report("")


class _Verifier:
    def __init__(self, connection: ReadConnection, signer: EncryptsSeals, known: KnownSeal | None) -> None:
        self._connection = connection
        self._signer = signer
        self._known = known
        self._last: SealRow | None = None
        self._entries = 0
        self._pruned = 0

    def run(self) -> None:
        known, after = self._known, 0
        while seals := audit.find_seals(self._connection, after, _SEALS):
            for seal in seals:
                self._check_chain(seal)
                if known is not None and known.number == seal.number and known.hash != seal.hash:
                    raise _BrokenError(f"seal {known.number} is not the one that was noted elsewhere")
                self._check_entries(seal)
                self._last = seal
            after = seals[-1].number
        if known is not None and (self._last is None or self._last.number < known.number):
            raise _BrokenError(f"seal {known.number} is missing, which was noted elsewhere")
        self._check_signature()

    def report(self, broken: str) -> Verified:
        last = self._last
        done = last.last_id if last else 0
        unsealed = 0 if broken else audit.count_after(self._connection, done)
        return Verified(
            entries=self._entries + unsealed,
            sealed_up_to=done,
            unsealed=unsealed,
            pruned_up_to=self._pruned,
            seal=KnownSeal(last.number, last.hash) if last else None,
            broken=broken,
        )

    def _check_chain(self, seal: SealRow) -> None:
        number = self._last.number + 1 if self._last else 1
        if seal.number != number:
            raise _BrokenError(f"seal {number} is missing")
        if seal.hash != seal_hash(seal, self._last.hash if self._last else ""):
            raise _BrokenError(f"seal {number} was changed, or the one before it")
        if seal.first_id <= self._done:
            raise _BrokenError(f"seal {number} covers entries of the one before it")
        if seal.pruned_at is not None and self._last is not None and self._last.pruned_at is None:
            raise _BrokenError(f"seal {number} is marked as pruned, but the one before it is not")

    @property
    def _done(self) -> int:
        return self._last.last_id if self._last else 0

    def _check_entries(self, seal: SealRow) -> None:
        if seal.pruned_at is not None:
            left = next(self._range(seal), None)
            if left is not None:
                raise _BrokenError(f"entry {left.id} exists, but seal {seal.number} over it is marked as pruned")
            self._pruned = seal.last_id
            return
        hashes = [entry_hash(entry) for entry in self._range(seal)]
        if digest_of(hashes) != seal.digest or len(hashes) != seal.entries:
            found = [entry_digest(entry) for entry in self._range(seal)]
            first = _first_difference(read_digests(seal.marks or b""), found)
            damage = f"the entries {seal.first_id} to {seal.last_id} are not what seal {seal.number} covers"
            raise _BrokenError(first or damage)
        self._entries += len(hashes)

    def _range(self, seal: SealRow) -> Iterator[AuditRow]:
        after = self._done
        while entries := audit.read_range(self._connection, after, seal.last_id, _ENTRIES):
            yield from entries
            after = entries[-1].id

    def _check_signature(self) -> None:
        """Check the newest signature: through the chain it covers everything before."""
        if self._last is None:
            return
        row = audit.find_seals(self._connection, self._last.number - 1, 1)[0]
        try:
            signed = self._signer.decrypt(row.signature, seal_context(row.number))
        except AppError as error:
            raise _BrokenError(
                f"seal {row.number} was not signed with the key of this installation: {error}"
            ) from error
        if signed.hex() != row.hash:
            raise _BrokenError(f"seal {row.number} is not the one that was signed")


def _first_difference(sealed: Sequence[EntryDigest], found: Sequence[EntryDigest]) -> str:
    for was, now in zip_longest(sealed, found):
        if was == now:
            continue
        if now is None or (was is not None and was.id < now.id):
            return f"entry {was.id} is missing"
        if was is None or now.id < was.id:
            return f"entry {now.id} was not there when it was sealed"
        return f"entry {now.id} was changed"
    return ""
