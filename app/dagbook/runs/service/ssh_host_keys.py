"""Use cases of the keys of SSH hosts: stored by the first step that connects, accepted and removed by admins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit, ssh_host_keys
from dagbook.db.repositories.ssh_host_keys import SshHostKeyRow
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.executors.contract import HOST_KEY_ALGORITHMS, HostKey, SshPolicy, StepError
from dagbook.identifiers import shorten

FORMAT, ACCEPT_NEW = "format", "accept-new"
_HOST = re.compile(r"[^\s\x00-\x20\x7f/@\[\]]{1,253}")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_PORTS = range(1, 65_536)
_MAX_HOSTS = 10_000  # names of hosts may come from callers


class SshHostKeys:
    """The keys of SSH hosts, shared by all processes on a database; implements ``HostKeys`` of the executors."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def get(self, host: str, port: int) -> HostKey | None:
        """Return the stored key of a host."""
        row = await self._database.read_inline(lambda connection: ssh_host_keys.get(connection, host, port))
        return None if row is None else HostKey(row.algorithm, row.fingerprint)

    async def add(self, host: str, port: int, key: HostKey) -> HostKey:
        """Store the key of a host unless it has one; return the stored one. Raises StepError if there are too many."""
        new = self._row(host, port, key)

        def work(connection: WriteConnection) -> HostKey:
            if ssh_host_keys.count(connection) >= _MAX_HOSTS:
                raise StepError(f"keys of {_MAX_HOSTS} SSH hosts are stored; remove some: dagbook ssh-host-keys list")
            ssh_host_keys.add(connection, new)
            row = ssh_host_keys.get(connection, host, port) or new
            return HostKey(row.algorithm, row.fingerprint)

        return await self._database.write(work)

    async def find(self) -> Sequence[SshHostKeyRow]:
        """Return the stored keys of all hosts."""
        return await self._database.read(ssh_host_keys.find)

    async def accept(self, host: str, port: int, key: HostKey, actor: Actor) -> SshHostKeyRow:
        """Store a key as the only right one of a host. Raises BadRequestError."""
        name = _check_host(host, port)
        if key.algorithm not in HOST_KEY_ALGORITHMS:
            raise BadRequestError(f"algorithm: {shorten(key.algorithm)} is none of " + ", ".join(HOST_KEY_ALGORITHMS))
        if not _FINGERPRINT.fullmatch(key.fingerprint):
            raise BadRequestError("fingerprint: is none; write SHA256:… as the step's error or ssh-keygen -l shows it")
        row = self._row(name, port, key, actor.label or "unknown")

        def work(connection: WriteConnection) -> None:
            before = ssh_host_keys.get(connection, name, port)
            ssh_host_keys.put(connection, row)
            self._record(connection, Action.SSH_HOST_KEY_ACCEPT, row, actor, before)

        await self._database.write(work)
        return row

    async def remove(self, host: str, port: int, actor: Actor) -> None:
        """Delete the key of a host: the next connection stores another one. Raises NotFoundError."""
        name = _check_host(host, port)

        def work(connection: WriteConnection) -> None:
            before = _require(connection, name, port)
            ssh_host_keys.remove(connection, name, port)
            self._record(connection, Action.SSH_HOST_KEY_DELETE, before, actor, before)

        await self._database.write(work)

    def policy(self, setting: str) -> SshPolicy:
        """Return the policy of the setting ``ssh_strict_host_key``."""
        if setting == ACCEPT_NEW:
            return SshPolicy(host_keys=self)
        return SshPolicy(strict=None if setting == FORMAT else setting == "true")

    def _row(self, host: str, port: int, key: HostKey, accepted_by: str | None = None) -> SshHostKeyRow:
        return SshHostKeyRow(
            host=host,
            port=port,
            algorithm=key.algorithm,
            fingerprint=key.fingerprint,
            stored_at=self._now(),
            accepted_by=accepted_by,
        )

    def _record(
        self,
        connection: WriteConnection,
        action: Action,
        row: SshHostKeyRow,
        actor: Actor,
        before: SshHostKeyRow | None,
    ) -> None:
        after = _key(row) if action is Action.SSH_HOST_KEY_ACCEPT else None
        name = f"{row.host}:{row.port}"
        done = AuditAction(
            action=action, kind="ssh_host", name=name, before=None if before is None else _key(before), after=after
        )
        audit.add(connection, actor.entry(done, self._now()))


def _check_host(host: str, port: int) -> str:
    if not _HOST.fullmatch(host):
        raise BadRequestError(f"host: {shorten(host)} is not the name or address of a machine")
    if port not in _PORTS:
        raise BadRequestError(f"port: {port} does not fit; write a number from 1 to 65535")
    return host.lower().rstrip(".")


def _require(connection: ReadConnection, host: str, port: int) -> SshHostKeyRow:
    found = ssh_host_keys.get(connection, host, port)
    if found is None:
        raise NotFoundError(
            f"no key of {shorten(host)}, port {port}, is stored; `dagbook ssh-host-keys list` shows all"
        )
    return found


def _key(row: SshHostKeyRow) -> dict[str, Any]:
    return {"algorithm": row.algorithm, "fingerprint": row.fingerprint}
