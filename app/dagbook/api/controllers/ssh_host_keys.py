"""Stored keys of the hosts of SSH steps. An extension of the contract."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, delete, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.errors import empty_or_errors, errors
from dagbook.api.params import parameters
from dagbook.api.presenters.present import time_text
from dagbook.api.providers import provide_services
from dagbook.api.schemas.common import or_unset
from dagbook.api.schemas.maintenance import SshHost, SshHosts, StoredSshHost
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.repositories.ssh_host_keys import SshHostKeyRow
from dagbook.executors.contract import HostKey
from dagbook.runs.service.ssh_host_keys import SshHostKeys

_PATH = "/ssh-host-keys"


class SshHostKeyServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the keys of SSH hosts."""

    ssh_host_keys: SshHostKeys
    zone: ZoneInfo


def _stored(row: SshHostKeyRow, zone: ZoneInfo) -> StoredSshHost:
    return StoredSshHost(
        host=row.host,
        port=row.port,
        algorithm=row.algorithm,
        fingerprint=row.fingerprint,
        stored_at=time_text(row.stored_at, zone),
        accepted_by=or_unset(row.accepted_by),
    )


class SshHostKeysController(Controller):
    dependencies = provide_services(SshHostKeyServices)

    @get(_PATH, operation_id="listSshHostKeys", requires=Requires.UPKEEP, responses=errors())
    async def list_keys(self, services: NamedDependency[SshHostKeyServices]) -> SshHosts:
        """List the stored keys of SSH hosts."""
        return SshHosts(hosts=[_stored(row, services.zone) for row in await services.ssh_host_keys.find()])

    @put(
        _PATH,
        operation_id="acceptSshHostKey",
        requires=Requires.UPKEEP,
        audits=Action.SSH_HOST_KEY_ACCEPT,
        status_code=200,
        responses=errors(),
    )
    async def accept(
        self, data: JSONBody[SshHost], services: NamedDependency[SshHostKeyServices], caller: NamedDependency[Caller]
    ) -> StoredSshHost:
        """Accept a key as that of an SSH host, in place of the stored one."""
        key = HostKey(data.algorithm, data.fingerprint)
        return _stored(await services.ssh_host_keys.accept(data.host, data.port, key, caller.actor), services.zone)

    @delete(
        _PATH,
        operation_id="deleteSshHostKey",
        requires=Requires.UPKEEP,
        audits=Action.SSH_HOST_KEY_DELETE,
        responses=empty_or_errors(404),
    )
    async def remove(
        self,
        host: parameters.SshHost,
        services: NamedDependency[SshHostKeyServices],
        caller: NamedDependency[Caller],
        port: parameters.SshPort = 22,
    ) -> None:
        """Delete the stored key of an SSH host; its next connection stores another one."""
        await services.ssh_host_keys.remove(host, port, caller.actor)
