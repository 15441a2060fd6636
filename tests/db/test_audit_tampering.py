"""S16: random tamperings with the audit by SQL, with and without the key of the servers.

Each of them is named by a verification, or is on the list that it prints of what it cannot show: alone, with a seal
that was noted before, and with a copy. They are made in a transaction that is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import update

from dagbook.auth.audit_context import ANONYMOUS, Action, AuditAction
from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import AuditSeal
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import LastSeal, SealRow
from dagbook.maintenance.audit.audit_chain import make_seal, seal_context, seal_hash
from dagbook.maintenance.audit.audit_copy import AuditCopy, compare
from dagbook.maintenance.audit.audit_pruning import AuditPruning
from dagbook.maintenance.audit.audit_sealing import make_signed_seal
from dagbook.maintenance.audit.audit_verification import KnownSeal, Limit, verify
from tests.db.audit_scene import ANN, Audit, switch_off
from tests.db.rows import NOW, rehearse, run_sql

SEED, TAMPERINGS, PART = 16, 100, 20
LATER = NOW.replace(year=2027)
PRUNED, SEALED, ENTRIES, SEALS = 10, 41, 44, 9  # last entry that is pruned, sealed, there; the number of seals
Evidence = str
ALONE, SEAL, COPY = "alone", "with a seal", "with a copy"


class Tampering:
    """One change of the audit by hand; it notes what it has touched, and what excuses that it is not named."""

    def __init__(self, connection: WriteConnection, random: Random, scene: Audit, *, has_key: bool) -> None:
        self.connection = connection
        self.random = random
        self.scene = scene
        self.has_key = has_key
        self.entries: set[int] = set()
        self.seals: set[int] = set()
        self.excuses: dict[Evidence, set[Limit]] = {ALONE: set(), SEAL: set(), COPY: set()}

    def sql(self, statement: str, **values: object) -> None:
        run_sql(self.connection, statement, **values)

    def edit(self) -> None:
        """Change a field of a sealed entry."""
        entry = self._choose_sealed()
        column = self.random.choice(["actor", "via", "address", "action", "name", "outcome", "after", "request_id"])
        value = "refused" if column == "outcome" else '{"x":1}' if column == "after" else "forged"
        self.sql(f"UPDATE audit SET {column} = :value WHERE id = :id", value=value, id=entry)  # noqa: S608 - as above
        self._cover_up(entry)

    def delete(self) -> None:
        """Delete some sealed entries."""
        first = self._choose_sealed()
        last = min(first + self.random.randrange(3), SEALED)
        self.sql("DELETE FROM audit WHERE id BETWEEN :first AND :last", first=first, last=last)
        self.entries |= set(range(first, last + 1))
        self._cover_up(first)

    def exchange(self) -> None:
        """Exchange two sealed entries."""
        first, second = sorted(self.random.sample(range(PRUNED + 1, SEALED + 1), 2))
        for now, then in ((first, -1), (second, first), (-1, second)):
            self.sql("UPDATE audit SET id = :then WHERE id = :now", now=now, then=then)
        self.entries.add(second)
        self._cover_up(first)

    def prune(self) -> None:
        """Delete entries like a pruning: with marks alone, with an entry, or with a head too."""
        last = self.random.randrange(4, SEALS - 1)
        seal = self._seals()[last - 1]
        how = self.random.choice(["marks", "unsealed entry", "sealed entry", "head"])
        self.entries |= set(range(PRUNED + 1, seal.last_id + 1))
        self.seals |= set(range(4, last + 1))
        if how != "marks":
            action = AuditAction(action=Action.AUDIT_PRUNE, kind="audit", name="x", after={"upTo": seal.last_id})
            audit.add(self.connection, ANN.entry(action, NOW))
        if self.has_key or how == "sealed entry":  # without the key it waits for a server to seal what is there
            self._seal_rest(seal.last_id if self.has_key else 0)
        if how == "head" and not self.has_key:
            newest = len(self._seals())
            self.sql(
                "UPDATE audit_seals SET pruned_up_to = :up_to WHERE number = :number", up_to=seal.last_id, number=newest
            )
            self._chain(newest)
        statement = (
            "UPDATE audit_seals SET pruned_at = sealed_at, marks = NULL WHERE number <= :last AND marks IS NOT NULL"
        )
        self.sql(statement, last=last)
        self.sql("DELETE FROM audit WHERE id <= :last", last=seal.last_id)
        if self.has_key:
            self._excuse(Limit.KEY, Limit.AFTER_SEAL, Limit.COPY_PRUNED)

    def remove_seal(self) -> None:
        """Remove a seal, and number those after it anew, with or without the entries under it."""
        number = self.random.randrange(4, SEALS)
        seal = self._seals()[number - 1]
        self.sql("DELETE FROM audit_seals WHERE number = :number", number=number)
        self.seals |= {number, number + 1}
        self.entries |= set(range(seal.first_id, seal.last_id + 1))
        if self.random.random() < 0.5:
            self.sql("DELETE FROM audit WHERE id BETWEEN :first AND :last", first=seal.first_id, last=seal.last_id)
        if self.has_key or self.random.random() < 0.5:
            self._renumber(number)
        if self.has_key:
            self._cover_up(seal.first_id)

    def remove_newest(self) -> None:
        """Remove the newest seals together with all entries after those that are left."""
        number = self.random.randrange(5, SEALS + 1)
        seal = self._seals()[number - 1]
        self.sql("DELETE FROM audit_seals WHERE number >= :number", number=number)
        self.sql("DELETE FROM audit WHERE id >= :first", first=seal.first_id)
        self.seals |= set(range(number, SEALS + 1))
        # The newest one covers the pruning: without it, the pruned entries are named.
        self.entries |= set(range(1, PRUNED + 1)) | set(range(seal.first_id, ENTRIES + 1))
        self.excuses[ALONE].add(Limit.NEWEST)

    def change_unsealed(self) -> None:
        """Change or delete an entry that no seal covers yet."""
        entry = self.random.randrange(SEALED + 1, ENTRIES + 1)
        statement = self.random.choice(
            ["DELETE FROM audit WHERE id = :id", "UPDATE audit SET actor = 'x' WHERE id = :id"]
        )
        self.sql(statement, id=entry)
        self.entries.add(entry)
        self.excuses[ALONE].add(Limit.UNSEALED)
        self.excuses[SEAL].add(Limit.UNSEALED)
        self.excuses[COPY].add(Limit.UNSEALED)

    def insert(self) -> None:
        """Insert an entry that no server wrote, before a server seals it."""
        audit.add(self.connection, ANN.entry(AuditAction(action=Action.DAG_DELETE, kind="dag", name="x"), NOW))
        if self.random.random() < 0.5:
            self._seal_rest(0)
        self.entries.add(ENTRIES + 1)
        for excuses in self.excuses.values():
            excuses.add(Limit.FORGED)

    def _choose_sealed(self) -> int:
        return self.random.randrange(PRUNED + 1, SEALED + 1)

    def _seals(self) -> Sequence[SealRow]:
        return audit.find_seals(self.connection, 0, 1000)

    def _cover_up(self, entry: int) -> None:
        """With the key, make all seals over an entry and later ones anew; without, only their hashes at times."""
        self.entries.add(entry)
        seals = self._seals()
        first = next(seal.number for seal in seals if seal.last_id >= entry)
        self.seals |= set(range(first, len(seals) + 1))
        if self.has_key or self.random.random() < 0.5:
            self._make_anew(first)
        if self.has_key:
            self._excuse(Limit.KEY)
        elif self.random.random() < 0.3:
            self._pretend_other_key(first)
        elif self.random.random() < 0.5:
            self._seal_rest(0)  # the server signs what follows the forged seals

    def _pretend_other_key(self, first: int) -> None:
        """Make all seals look like those from before a change of the key, and wait for the server's next one."""
        self._make_anew(first)
        forged = b"\x01another!" + self.random.randbytes(60)
        self.connection.execute(update(AuditSeal).values(signature=forged))
        self.seals |= set(range(1, SEALS + 1))
        self._seal_rest(0)
        self.excuses[ALONE].add(Limit.OTHER_KEY)

    def _excuse(self, alone: Limit, with_seal: Limit | None = None, with_copy: Limit | None = None) -> None:
        for evidence, limit in ((ALONE, alone), (SEAL, with_seal), (COPY, with_copy)):
            if limit is not None:
                self.excuses[evidence].add(limit)

    def _make_anew(self, first: int) -> None:
        for old in self._seals()[first - 1 :]:
            after = self._seals()[old.number - 2].last_id
            entries = audit.read_range(self.connection, after, old.last_id)
            if not entries:
                continue
            made = make_seal(old.number, entries, self._seals()[old.number - 2].hash, old.sealed_at, old.pruned_up_to)
            names = ("first_id", "last_id", "entries", "digest", "marks")
            self._change_seal(old.number, **{name: getattr(made, name) for name in names})
        self._chain(first)

    def _renumber(self, gone: int) -> None:
        for number in range(gone + 1, SEALS + 1):
            self.sql("UPDATE audit_seals SET number = :then WHERE number = :now", now=number, then=number - 1)
        self._chain(gone)

    def _chain(self, first: int) -> None:
        """Compute the hashes of seals from one on, and with the key their signatures."""
        previous = self._seals()[first - 2].hash
        for seal in self._seals()[first - 1 :]:
            self.seals.add(seal.number)
            previous = seal_hash(seal, previous)
            self._change_seal(seal.number, hash=previous)
            if self.has_key:
                signature = self.scene.signer.encrypt(bytes.fromhex(previous), seal_context(seal.number))
                self._change_seal(seal.number, signature=signature)

    def _change_seal(self, number: int, **values: object) -> None:
        self.connection.execute(update(AuditSeal).where(AuditSeal.number == number).values(**values))

    def _seal_rest(self, pruned_up_to: int) -> None:
        last: LastSeal | None = audit.get_last_seal(self.connection)
        assert last is not None
        entries = audit.read_range(self.connection, last.last_id, 2**62)
        seal = make_signed_seal(last, entries, self.scene.signer, LATER, pruned_up_to)
        audit.add_seal(self.connection, seal)
        self.seals.add(seal.number)


KINDS: Sequence[Callable[[Tampering], None]] = (
    Tampering.edit,
    Tampering.delete,
    Tampering.exchange,
    Tampering.prune,
    Tampering.remove_seal,
    Tampering.remove_newest,
    Tampering.change_unsealed,
    Tampering.insert,
)


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Audit:
    """Nine seals, of which the first three are pruned, and three entries that are not sealed; all of it copied."""
    made = Audit(database, tmp_path)
    copy = AuditCopy(database, tmp_path / "audit.copy")
    await made.seal(4, 3, 3)
    await copy.run_once()
    made.time = LATER
    await made.seal(8, 5, 7, 2, 8)
    await AuditPruning(database, made.signer, made.now).prune(NOW.replace(month=6), ANONYMOUS)
    await made.note(3)
    await copy.run_once()
    return made


async def test_the_audit_itself_is_in_order(scene: Audit, tmp_path: Path) -> None:
    found = await scene.verify()
    assert (found.broken, found.pruned_up_to, found.sealed_up_to, found.entries) == ("", PRUNED, SEALED, 34)
    path = tmp_path / "audit.copy"
    compared = await scene.database.read(
        lambda connection: compare(connection, path, path.stat().st_size, found.covered_up_to)
    )
    assert (compared.differences, compared.pruned) == ([], PRUNED)


@pytest.mark.parametrize("part", range(TAMPERINGS // PART))
async def test_every_tampering_is_named_or_on_the_list_of_what_is_not_shown(
    scene: Audit, tmp_path: Path, part: int
) -> None:
    known = (await scene.verify()).seal
    assert known is not None
    unnamed: list[str] = []
    named = 0
    for number in range(part * PART, (part + 1) * PART):

        def work(connection: WriteConnection, number: int = number) -> None:
            nonlocal named
            switch_off(connection)
            tampering = Tampering(connection, Random(f"{SEED} {number}"), scene, has_key=number % 16 >= 8)  # noqa: S311 - no secret
            kind = KINDS[number % len(KINDS)]
            kind(tampering)
            for evidence, sentences, limits in examine(connection, scene, known, tmp_path / "audit.copy"):
                if is_named(sentences, tampering):
                    named += 1
                elif sentences or not tampering.excuses[evidence] & set(limits):
                    unnamed.append(f"{number}: {kind.__name__}, key: {tampering.has_key}, {evidence}: {sentences}")

        await rehearse(scene.database, work)
    assert "\n".join(unnamed) == ""
    assert named > 1.5 * PART  # of three times as many: the list excuses no more than it has to


def examine(
    connection: WriteConnection, scene: Audit, known: KnownSeal, path: Path
) -> list[tuple[Evidence, list[str], Sequence[Limit]]]:
    """Return what each kind of verification says, and what it lists as not shown."""
    alone, sealed = verify(connection, scene.signer), verify(connection, scene.signer, known)
    compared = compare(connection, path, path.stat().st_size, alone.covered_up_to)
    return [
        (ALONE, [alone.broken] * bool(alone.broken), alone.limits),
        (SEAL, [sealed.broken] * bool(sealed.broken), sealed.limits),
        (COPY, [*([alone.broken] * bool(alone.broken)), *compared.differences], compared.limits),
    ]


_NAMES = re.compile(r"(entry|entries|seal) (-?\d+)(?: to (\d+))?")


def is_named(sentences: Sequence[str], tampering: Tampering) -> bool:
    """Whether a sentence names an entry or a seal that was touched, or the seal after it, whose hash covers it."""
    for sentence in sentences:
        for what, first, last in _NAMES.findall(sentence):
            named = set(range(int(first), int(last or first) + 1))
            touched = tampering.seals | {one + 1 for one in tampering.seals} if what == "seal" else tampering.entries
            if named & touched:
                return True
    return False
