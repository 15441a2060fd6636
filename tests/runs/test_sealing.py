"""What is sealed can be read with the right key only, and for what it belongs to."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from dagbook.runs.secrets.encryption import Encrypter, EncryptionError
from dagbook.settings.definitions import KEY_FILE

KEY, OTHER_KEY = "k" * 32, "o" * 32
NOWHERE = Path("/nonexistent")


def test_what_is_sealed_is_not_in_the_sealed_bytes() -> None:
    assert b"hunter2" not in Encrypter(KEY, NOWHERE).encrypt(b"hunter2", "x")


def test_another_server_with_the_same_key_opens_what_is_sealed() -> None:
    sealed = Encrypter(KEY, NOWHERE).encrypt(b"hunter2", "run/1")
    assert Encrypter(KEY, Path("/elsewhere")).decrypt(sealed, "run/1") == b"hunter2"


def test_the_same_value_is_never_sealed_the_same_way_twice() -> None:
    encrypter = Encrypter(KEY, NOWHERE)
    assert encrypter.encrypt(b"hunter2", "x") != encrypter.encrypt(b"hunter2", "x")


def test_another_key_is_told_by_its_name_and_with_the_fix() -> None:
    sealed = Encrypter(KEY, NOWHERE).encrypt(b"hunter2", "x")
    with pytest.raises(
        EncryptionError, match=r"with the key [0-9a-f]{16}, but DAGBOOK_SECRET_KEY gives .* the same"
    ) as told:
        Encrypter(OTHER_KEY, NOWHERE).decrypt(sealed, "x")
    assert KEY not in str(told.value)


@pytest.mark.parametrize("place", range(40))
def test_a_changed_byte_is_noticed(place: int) -> None:
    sealed = bytearray(Encrypter(KEY, NOWHERE).encrypt(b"hunter2", "x"))
    sealed[place % len(sealed)] ^= 1
    with pytest.raises(EncryptionError):
        Encrypter(KEY, NOWHERE).decrypt(bytes(sealed), "x")


@pytest.mark.parametrize("length", range(40))
def test_a_shortened_value_is_noticed(length: int) -> None:
    sealed = Encrypter(KEY, NOWHERE).encrypt(b"hunter2", "x")
    with pytest.raises(EncryptionError):
        Encrypter(KEY, NOWHERE).decrypt(sealed[: min(length, len(sealed) - 1)], "x")


def test_a_value_is_worth_nothing_in_another_row() -> None:
    sealed = Encrypter(KEY, NOWHERE).encrypt(b"hunter2", "run/1")
    with pytest.raises(EncryptionError, match="does not belong to this run"):
        Encrypter(KEY, NOWHERE).decrypt(sealed, "run/2")


# -- the key file ----------------------------------------------------------------------------------------------------


def test_the_key_file_is_made_when_it_is_first_needed_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    encrypter = Encrypter("", home)
    assert not home.exists()
    encrypter.encrypt(b"x", "x")
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == [KEY_FILE]


def test_the_key_file_is_used_again(tmp_path: Path) -> None:
    sealed = Encrypter("", tmp_path).encrypt(b"hunter2", "x")
    assert Encrypter("", tmp_path).decrypt(sealed, "x") == b"hunter2"


def test_processes_that_make_the_key_at_once_agree_on_one(tmp_path: Path) -> None:
    barrier = Barrier(8)

    def seal(_number: int) -> bytes:
        encrypter = Encrypter("", tmp_path)
        barrier.wait()
        return encrypter.encrypt(b"hunter2", "x")

    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(seal, range(8)))
    assert [Encrypter("", tmp_path).decrypt(value, "x") for value in sealed] == [b"hunter2"] * 8
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_a_key_file_without_a_key_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(EncryptionError, match=r"secret\.key .*set DAGBOOK_SECRET_KEY"):
        Encrypter("", tmp_path).encrypt(b"x", "x")
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_a_home_that_takes_no_key_file_is_told_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EncryptionError, match="set DAGBOOK_SECRET_KEY"):
        Encrypter("", tmp_path / "file").encrypt(b"x", "x")
