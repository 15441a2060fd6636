"""Encryption of the secret values that a run has to store, and of texts with them (house design section 6).

AES-256-GCM with a key derived from the configured text, or from a file in the home that is created when first needed.
An encrypted value names its key, so that a wrong key is told apart from damage, and that a previous key can be used
beside the one that encrypts. It can only be decrypted for the object that it belongs to, so that a copy in another row
is useless.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.runs import runs
from dagbook.errors import UnavailableError
from dagbook.settings.definitions import KEY_FILE
from dagbook.unix.files import make_private_folder

_log = logging.getLogger(__name__)
VARIABLE = "DAGBOOK_SECRET_KEY"
_MIN_CHARACTERS = 32
_VERSION = b"\x01"
_KEY_BYTES, _NAME_BYTES, _NONCE_BYTES = 32, 8, 12
_HEAD_BYTES = len(_VERSION) + _NAME_BYTES + _NONCE_BYTES
_INFO = b"dagbook sealed values 1"
_RUNS_CHECKED = 1_000


class EncryptionError(UnavailableError):
    """A value cannot be decrypted or encrypted by this server; the message says what to do."""


class Encrypter:
    """Encrypts with one key, which is read or created when first needed; decrypts with it and with previous ones."""

    def __init__(self, key: str, home: Path, previous: Sequence[str] = ()) -> None:
        self._given = key
        self._file = home / KEY_FILE
        self._previous = previous

    def encrypt(self, data: bytes, about: str) -> bytes:
        """Encrypt data that belongs to ``about``; raises EncryptionError."""
        key, name = self._key
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + name + nonce + key.encrypt(nonce, data, about.encode())

    def decrypt(self, encrypted: bytes, about: str) -> bytes:
        """Decrypt the result of ``encrypt`` for the same ``about``; raises EncryptionError."""
        own, name = self._key
        key_name = encrypted[len(_VERSION) :][:_NAME_BYTES]
        if encrypted[: len(_VERSION)] != _VERSION or len(encrypted) < _HEAD_BYTES:
            raise EncryptionError("an encrypted value is damaged, or was stored by a later version of Dagbook")
        key = own if key_name == name else self._older.get(key_name)
        if key is None:
            raise EncryptionError(
                f"secrets were encrypted with the key {key_name.hex()}, but {self._origin} gives the key {name.hex()}; "
                f"give all servers of a database the same {VARIABLE}, the one that was used then"
            )
        try:
            return key.decrypt(
                encrypted[len(_VERSION) + _NAME_BYTES : _HEAD_BYTES], encrypted[_HEAD_BYTES:], about.encode()
            )
        except InvalidTag:
            raise EncryptionError("an encrypted value is damaged, or does not belong to this run") from None

    def find_other_keys(self, encrypted: Iterable[bytes]) -> list[str]:
        """Return the names of keys that are not known, of encrypted values or of their heads; raises EncryptionError.

        Does not create a key: without one, and without previous ones, every key is another.
        """
        return sorted({head[len(_VERSION) :][:_NAME_BYTES].hex() for head in encrypted} - {*self.names})

    @property
    def name(self) -> str:
        """The name of the key that encrypts, which is created if there is none; raises EncryptionError."""
        return self._key[1].hex()

    @property
    def names(self) -> list[str]:
        """The names of all keys, first of the one that encrypts; creates none. Raises EncryptionError."""
        own = [self._key[1]] if self._given or self._file.exists() else []
        return [name.hex() for name in dict.fromkeys((*own, *self._older))]

    def find_names(self) -> list[str]:
        """Return the names of all keys as ``names``; none if a key cannot be read."""
        try:
            return self.names
        except EncryptionError:
            return []

    def describe(self) -> str:
        """Describe the key and its origin for a message; raises EncryptionError."""
        if not (self._given or self._file.exists()):
            return f"neither {VARIABLE} nor {self._file} has a key"
        return f"{self._origin} gives the key {self._key[1].hex()}"

    @property
    def _origin(self) -> str:
        return VARIABLE if self._given else str(self._file)

    @cached_property
    def _key(self) -> tuple[AESGCM, bytes]:
        """The key, and its name in encrypted values."""
        return _derive(self._given or _read_or_create(self._file))

    @cached_property
    def _older(self) -> dict[bytes, AESGCM]:
        return {name: key for key, name in map(_derive, self._previous)}


def _derive(text: str) -> tuple[AESGCM, bytes]:
    derived = HKDF(algorithm=SHA256(), length=_KEY_BYTES + _NAME_BYTES, salt=None, info=_INFO).derive(text.encode())
    return AESGCM(derived[:_KEY_BYTES]), derived[_KEY_BYTES:]


async def warn_of_other_keys(database: Database, encrypter: Encrypter, *, seals: bool = True) -> None:
    """Log a warning if the newest 1000 runs or the audit were encrypted with another key than this server's.

    Without ``seals`` only runs are looked at: the role of a worker may not read the audit.
    """

    def read_heads(connection: ReadConnection) -> list[bytes]:
        signature = audit.get_last_signature(connection) if seals else None
        heads = runs.find_seal_heads(connection, _RUNS_CHECKED, len(_VERSION) + _NAME_BYTES)
        return heads if signature is None else [*heads, signature]

    heads = await database.read(read_heads)
    try:
        others, own = encrypter.find_other_keys(heads), encrypter.describe()
    except EncryptionError as error:
        _log.warning("%s", error)
        return
    if others:
        _log.warning(
            "secrets of runs, or the audit, were encrypted with another secret_key than this process has (%s, and "
            "%s): it can neither continue nor retry such runs; give all servers and workers of a database the same "
            "%s, the one that was used then",
            ", ".join(others),
            own,
            VARIABLE,
        )


def _read_or_create(path: Path) -> str:
    try:
        if not path.exists():
            _create(path)
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise EncryptionError(
            f"secrets cannot be stored: the key file {path} cannot be used: {error}; make it readable or set {VARIABLE}"
        ) from error
    if len(text) < _MIN_CHARACTERS:
        raise EncryptionError(
            f"secrets cannot be stored: the key file {path} contains no key; restore it, or set {VARIABLE}"
        )
    return text


def _create(path: Path) -> None:
    """Create the key file; of two processes that do so at once one wins, and both use its key."""
    make_private_folder(path.parent)
    descriptor, written = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{secrets.token_hex(_KEY_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(written, path)
        _sync_directory(path.parent)  # a key lost in a crash would make all values encrypted with it unreadable
    except FileExistsError:
        return
    finally:
        Path(written).unlink()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
