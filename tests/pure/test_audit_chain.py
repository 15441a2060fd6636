"""What seals are made of must be the same in every version, or old ones could not be verified any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import asdict

from dagbook.auth.audit_context import ANONYMOUS, Action, Actor, dag_action
from dagbook.db.repositories.audit import AuditRow, SealedEntry
from dagbook.maintenance.audit.audit_chain import entry_digest, entry_hash, make_seal, read_digests, seal_hash
from tests.conftest import ROOT

AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ORIGIN = Actor(
    via="personal",
    actor="ann",
    user_id="u1",
    token_id="t1",  # noqa: S106 - it names one
    token_name="ci",  # noqa: S106 - it names one
    address="::1",
    request_id="q",
)


def entry(key: int, **values: Any) -> SealedEntry:
    made = asdict(ORIGIN.entry(dag_action(Action.DAG_CREATE, "étl"), AT))
    return AuditRow(id=key, **made | {"after": '{"revision":1}'} | values)


def test_an_entry_has_the_hash_that_it_always_had() -> None:
    assert entry_hash(entry(7)).hex() == "8f3c2a09dc0b33e6efc2cb2f09db0dd6465b0c07dd42cf1ebcb041162b61ddc1"


def test_a_seal_of_the_first_release_has_the_hash_that_it_always_had() -> None:
    seal = make_seal(2, [entry(7), entry(9)], "a" * 64, AT, None)
    assert (seal.first_id, seal.last_id, seal.entries) == (7, 9, 2)
    assert seal.digest == "6d3a49a1406769ce84a1373451f92f34e7e6ba1d74b4520122040e36584d40bb"
    assert seal.hash == "cf5a99e1dc3f7b40e58ce000c3d807728e434df0ee1d7ee14c03ffef22cfc088"


@pytest.mark.parametrize(
    ("pruned_up_to", "hashed"),
    [
        (0, "0889af3fdaa897b34ea18e94c1bb88fa4f50c6f1f2bda8ed376b93df9c56caee"),
        (5, "8c326e7bb43ae38d25a3024edef672298672cfd04196a583120a3764df34bac9"),
    ],
)
def test_a_seal_that_says_what_was_pruned_has_the_hash_that_it_always_had(pruned_up_to: int, hashed: str) -> None:
    assert make_seal(2, [entry(7), entry(9)], "a" * 64, AT, pruned_up_to).hash == hashed


@pytest.mark.parametrize("name", [name for name in AuditRow.__struct_fields__ if name != "id"])
def test_every_column_counts(name: str) -> None:
    other = datetime(2027, 1, 1, tzinfo=UTC) if name == "at" else "other"
    assert entry_hash(entry(7, **{name: other})) != entry_hash(entry(7))


def test_values_do_not_run_into_each_other() -> None:
    assert entry_hash(entry(7, kind="ab", name="c")) != entry_hash(entry(7, kind="a", name="bc"))
    assert entry_hash(entry(7, actor=None)) != entry_hash(entry(7, actor=""))


@pytest.mark.parametrize("name", ["number", "first_id", "last_id", "entries", "digest", "sealed_at", "pruned_up_to"])
def test_every_field_of_a_seal_counts(name: str) -> None:
    seal = make_seal(1, [entry(7)], "", AT)
    assert seal_hash(msgspec.structs.replace(seal, **{name: "other"}), "") != seal.hash
    assert seal_hash(seal, "a" * 64) != seal.hash


def test_a_seal_has_the_digests_of_its_entries() -> None:
    rows = [entry(7), entry(2**62)]
    assert read_digests(make_seal(1, rows, "", AT).marks or b"") == [entry_digest(row) for row in rows]


@pytest.mark.parametrize("action", Action)
def test_every_action_is_in_the_guide(action: Action) -> None:
    assert f"`{action}`" in (ROOT / "docs" / "how-to" / "audit.md").read_text(encoding="utf-8")


def test_nobody_does_not_remember_a_request() -> None:
    assert (ANONYMOUS.request_id, ANONYMOUS.label) == ("", None)
