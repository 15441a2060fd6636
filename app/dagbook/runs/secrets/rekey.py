"""Encryption of all stored values with the key of today, so that a previous one can go (setting secret_keys_previous).

Each transaction replaces a few rows, so that servers go on, and so that nothing is lost when it is killed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator

import msgspec

from dagbook.audit_entry import NewAuditEntry
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, encrypted
from dagbook.db.repositories.encrypted import EncryptedValue, Place, Position
from dagbook.runs.secrets.encryption import Encrypter, EncryptionError

_log = logging.getLogger(__name__)
_ROWS = 200  # of a transaction


class Rekeyed(msgspec.Struct, frozen=True):
    """Values that were encrypted again, those that still have a previous key, and those of unknown keys by its name.

    Left are those for which there was no time, that runs were writing, or that are damaged.
    """

    done: int
    left: int
    unknown: dict[str, int]


class Rekeying:
    """Encrypts values again for a while; one request at a time."""

    def __init__(self, database: Database, encrypter: Encrypter) -> None:
        self._database = database
        self._encrypter = encrypter
        self._lock = asyncio.Lock()

    async def run(self, entry: NewAuditEntry, seconds: float) -> Rekeyed:
        """Replace values of previous keys for so many seconds; raises EncryptionError without a key."""
        async with self._lock:
            await self._database.write(lambda connection: audit.add(connection, entry))
            own = self._encrypter.name
            previous = [name for name in self._encrypter.names if name != own]
            names = [bytes.fromhex(name) for name in previous]
            ends, done = time.monotonic() + seconds, 0
            for place in encrypted.places if previous else ():
                after: Position = ()
                while time.monotonic() < ends:
                    last = await self._database.read(encrypted.find_last, place, names, after, _ROWS)
                    if not last:
                        break
                    done += await self._database.write(self._replace, place, names, after, last)
                    after = last
            found = await self._database.read(encrypted.count_by_key)
            left = sum(found.get(name, 0) for name in previous)
            unknown = {name: count for name, count in sorted(found.items()) if name not in (own, *previous)}
            return Rekeyed(done, left, unknown)

    def _replace(
        self, connection: WriteConnection, place: Place, names: list[bytes], after: Position, last: Position
    ) -> int:
        values = encrypted.lock(connection, place, names, after, last)
        renewed = list(self._encrypt_again(values))
        encrypted.replace(connection, place, renewed)
        return len(renewed)

    def _encrypt_again(self, values: Iterable[EncryptedValue]) -> Iterator[EncryptedValue]:
        for value in values:
            try:
                data = self._encrypter.decrypt(value.data, value.about)
            except EncryptionError as error:  # it is damaged, and stays as it is
                _log.warning("%s: %s", value.about, error)
            else:
                yield msgspec.structs.replace(value, data=self._encrypter.encrypt(data, value.about))
