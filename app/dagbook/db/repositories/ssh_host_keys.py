"""Keys of SSH hosts that versions before 0.2.0 stored; they are in files of known hosts now.

The next release drops the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select

from dagbook.db.database import ReadConnection
from dagbook.db.models.service import SshHostKey
from dagbook.db.statements import all_rows

_statement = select(SshHostKey.host, SshHostKey.port, SshHostKey.algorithm, SshHostKey.fingerprint).order_by(
    SshHostKey.host, SshHostKey.port
)


class StoredHostKey(msgspec.Struct, frozen=True, kw_only=True):
    """Algorithm and SHA-256 fingerprint of the key of a host and port."""

    host: str
    port: int
    algorithm: str
    fingerprint: str


def find(connection: ReadConnection) -> Sequence[StoredHostKey]:
    """Return the keys of all hosts."""
    return all_rows(connection, StoredHostKey, _statement)
