"""Verifies that the audit is unchanged: reads all entries and seals, and reports the first difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import zip_longest

import msgspec

from dagbook.auth.audit_context import Action
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import SealedEntry, SealRow
from dagbook.errors import AppError
from dagbook.maintenance.audit.audit_chain import (
    EntryDigest,
    digest_of,
    entry_digest,
    entry_hash,
    pruned_by,
    pruning_covered,
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


class Limit(StrEnum):
    """What a verification without errors does not show, as the end of a sentence."""

    UNSEALED = "that entries which are not sealed yet were changed or deleted"
    FORGED = "that an entry was inserted into the database by hand before it was sealed"
    NEWEST = "that the newest seals were removed together with their entries; --seal and --copy show it"
    KEY = (
        "any change by a person with the database and the key, who can make all seals again; --seal and --copy show it"
    )
    AFTER_SEAL = (
        "that seals after the given one were removed together with their entries, or that a person with the key made "
        "them again, or pruned; --copy shows it"
    )
    OTHER_KEY = "a change of the first seals, which were signed with another key, that was made before the next one"
    COPY_END = "any change of what came after the last line of the copy by a person with the database and the key"
    COPY_CHANGED = "a change of the copy itself together with the database and the key"
    COPY_PRUNED = "that a person with the database and the key pruned, instead of a server; the copy has the entries"
    PRUNED = "what the pruned entries were"
    OLD_PRUNING = "that entries which version 0.1.0 pruned were deleted in another way; --copy shows what they were"


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the audit; ``broken`` describes the first error, or is empty."""

    entries: int = 0
    sealed_up_to: int = 0
    unsealed: int = 0
    pruned_up_to: int = 0
    other_key_up_to: int = 0  # the last of the first seals that were signed with another key
    covered_up_to: int = 0  # the last entry whose deletion a sealed audit.prune entry covers
    seal: KnownSeal | None = None
    broken: str = ""
    limits: Sequence[Limit] = ()


class _BrokenError(Exception):
    """An entry or seal differs from what was sealed."""


def verify(connection: ReadConnection, signer: EncryptsSeals, known: KnownSeal | None = None) -> Verified:
    """Verify everything that a transaction sees, which must not change; ``known`` has to be among the seals."""
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
        self._other_key, self._wrong_key = 0, ""  # the last seal that was signed with it, and the error
        self._covered = 0
        self._signed = 0  # the same, where it is in the head of a seal

    def run(self) -> None:
        known, after = self._known, 0
        while seals := audit.find_seals(self._connection, after, _SEALS):
            for seal in seals:
                self._check_chain(seal)
                if known is not None and known.number == seal.number and known.hash != seal.hash:
                    raise _BrokenError(f"seal {known.number} is not the one that was noted elsewhere")
                self._check_entries(seal)
                self._check_signature(seal)
                self._last = seal
            after = seals[-1].number
        if known is not None and (self._last is None or self._last.number < known.number):
            raise _BrokenError(f"seal {known.number} is missing, which was noted elsewhere")
        if self._last is not None and self._other_key == self._last.number:
            raise _BrokenError(self._wrong_key)
        self._check_pruning()

    def report(self, broken: str) -> Verified:
        last = self._last
        done = last.last_id if last else 0
        unsealed = 0 if broken else audit.count_after(self._connection, done)
        return Verified(
            entries=self._entries + unsealed,
            sealed_up_to=done,
            unsealed=unsealed,
            pruned_up_to=self._pruned,
            other_key_up_to=self._other_key,
            covered_up_to=self._covered,
            seal=KnownSeal(last.number, last.hash) if last else None,
            broken=broken,
            limits=() if broken else tuple(self._limits()),
        )

    def _limits(self) -> Iterator[Limit]:
        yield Limit.UNSEALED
        yield Limit.FORGED
        if self._known is None:
            yield Limit.NEWEST
            yield Limit.KEY
        else:
            yield Limit.AFTER_SEAL
        if self._other_key:
            yield Limit.OTHER_KEY
        if self._pruned:
            yield Limit.PRUNED
        if self._pruned > self._signed:
            yield Limit.OLD_PRUNING

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
        prunings: list[SealedEntry] = []
        if seal.pruned_at is None:
            prunings = self._check_digest(seal)
        else:
            left = next(self._range(seal), None)
            if left is not None:
                raise _BrokenError(f"entry {left.id} exists, but seal {seal.number} over it is marked as pruned")
            self._pruned = seal.last_id
        self._signed = max(self._signed, seal.pruned_up_to or 0)
        self._covered = max(self._covered, pruning_covered(seal, self._last, prunings))

    def _check_digest(self, seal: SealRow) -> list[SealedEntry]:
        """Check the entries of a seal; returns the entries of prunings."""
        hashes, prunings = [], []
        for entry in self._range(seal):
            hashes.append(entry_hash(entry))
            if entry.action == Action.AUDIT_PRUNE:
                prunings.append(entry)
        if digest_of(hashes) != seal.digest or len(hashes) != seal.entries:
            found = [entry_digest(entry) for entry in self._range(seal)]
            first = _first_difference(read_digests(seal.marks or b""), found)
            damage = f"the entries {seal.first_id} to {seal.last_id} are not what seal {seal.number} covers"
            raise _BrokenError(first or damage)
        if seal.pruned_up_to and seal.pruned_up_to not in map(pruned_by, prunings):
            raise _BrokenError(f"seal {seal.number} has no audit.prune entry of the pruning in its head")
        self._entries += len(hashes)
        return prunings

    def _range(self, seal: SealRow) -> Iterator[SealedEntry]:
        after = self._done
        while entries := audit.read_range(self._connection, after, seal.last_id, _ENTRIES):
            yield from entries
            after = entries[-1].id

    def _check_signature(self, seal: SealRow) -> None:
        """Check a signature. Seals from before a change of the key come first, and the later ones cover them.

        Checking only the newest one would not do: a server signs what follows a forged seal.
        """
        try:
            signed = self._signer.decrypt(seal.signature, seal_context(seal.number))
        except AppError as error:
            self._wrong_key = f"seal {seal.number} was not signed with the key of this installation: {error}"
            if not self._signer.find_other_keys([seal.signature]) or self._other_key != seal.number - 1:
                raise _BrokenError(self._wrong_key) from error
            self._other_key = seal.number
            return
        if signed.hex() != seal.hash:
            raise _BrokenError(f"seal {seal.number} is not the one that was signed")

    def _check_pruning(self) -> None:
        if self._pruned <= self._covered:
            return
        first, after = self._covered + 1, 0
        while seals := audit.find_seals(self._connection, after, _SEALS):
            for seal in seals:
                if seal.pruned_at is not None and seal.last_id > self._covered:
                    raise _BrokenError(
                        f"the entries {max(first, seal.first_id)} to {self._pruned} were deleted, and seal "
                        f"{seal.number} over the first of them is marked as pruned, but no sealed audit.prune entry "
                        "covers that"
                    )
            after = seals[-1].number


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
