"""The tokens of logins: which count, and which do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dagbook.auth.tokens import Claims, Signer, hash_of, is_personal, make_personal, validation_error

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECRET = "a secret of the tests that is long enough"  # noqa: S105 - of tests
SIGNER = Signer(SECRET, 3600)


def claims(**values: object) -> Claims:
    said = {"sub": "1", "uid": "1", "username": "ann", "role": "viewer", "gen": 1, "jti": "x"}
    times = {"iat": int(NOW.timestamp()), "exp": int(SIGNER.expiry(NOW).timestamp())}
    return Claims(**{**said, **times, **values})  # type: ignore[arg-type]


def test_a_token_has_the_signed_claims() -> None:
    assert SIGNER.read(SIGNER.sign(claims()), NOW) == claims()


@pytest.mark.parametrize(("seconds", "counts"), [(0, True), (3599, True), (3600, False), (-10, True), (-11, False)])
def test_a_token_counts_from_its_making_to_its_end(seconds: int, counts: bool) -> None:
    read = SIGNER.read(SIGNER.sign(claims()), NOW + timedelta(seconds=seconds))
    assert (read is not None) is counts


def test_a_token_of_another_secret_does_not_count() -> None:
    assert Signer("another secret that is long enough too", 3600).read(SIGNER.sign(claims()), NOW) is None


@pytest.mark.parametrize(
    ("secret", "wrong"),
    [
        ("", "missing"),
        ("x" * 31, "short"),
        ("ü" * 16, ""),
        ("x" * 32, ""),
        ("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQY\n-----END PUBLIC KEY-----", "key pair"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN0", "key pair"),
    ],
)
def test_a_weak_secret_is_refused(secret: str, wrong: str) -> None:
    said = validation_error(secret)
    assert wrong in said
    assert bool(said) is bool(wrong)
    assert not secret or secret not in said


def test_personal_tokens_are_long_and_differ() -> None:
    made = {make_personal() for _ in range(100)}
    assert len(made) == 100
    assert all(is_personal(token) and len(token) == 47 for token in made)


def test_a_personal_token_is_stored_as_a_hash() -> None:
    token = make_personal()
    assert token not in hash_of(token)
    assert len(hash_of(token)) == 64
