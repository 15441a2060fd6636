"""Moves the SSH host keys of the database into a file of known hosts; removed with their table, in the next release."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from dagbook.db.database import Database
from dagbook.db.repositories import ssh_host_keys
from dagbook.main.wiring import ACCEPT_NEW
from dagbook.settings import Settings

_log = logging.getLogger(__name__)


async def move_host_keys(settings: Settings, database: Database) -> None:
    """Write the stored fingerprints once into the file of this process, if it accepts new keys at all."""
    if settings.ssh_strict_host_key != ACCEPT_NEW:
        return
    rows = await database.read_inline(ssh_host_keys.find)
    if not rows:
        return
    from dagbook.executors.ssh import known_hosts  # noqa: PLC0415 - the library takes a tenth of a second

    path = settings.ssh_known_hosts or Path.home() / known_hosts.USUAL.removeprefix("~/")
    notes = [known_hosts.Note(known_hosts.name_of(row.host, row.port), row.algorithm, row.fingerprint) for row in rows]
    try:
        written = await asyncio.to_thread(known_hosts.add_notes, path, notes)
    except OSError as error:
        _log.error("the stored SSH host keys could not be written to %s: %s", path, error.strerror)
        return
    if written:
        _log.info(
            "wrote the fingerprints of %d stored SSH host keys to %s, where they count from now on", written, path
        )
