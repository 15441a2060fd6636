"""Trust on first use: the first key of a host is stored, and later ones are compared with it."""

from __future__ import annotations

import logging
import shlex

import asyncssh

from dagbook.executors.contract import HOST_KEY_ALGORITHMS, HostKey, HostKeys, SetupError, StepError
from dagbook.spec.problem import quoted

_log = logging.getLogger(__name__)
_MAX_HOST_LENGTH = 253
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")  # those of ssh-rsa itself use SHA-1


class PinnedClient(asyncssh.SSHClient):
    """Accepts one host key only. It is compared before the login, so another host gets no password."""

    def __init__(self, known: HostKey) -> None:
        self._known = known

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        return describe(key) == self._known


def describe(key: asyncssh.SSHKey) -> HostKey:
    """Return algorithm and fingerprint of a key."""
    return HostKey(key.get_algorithm(), key.get_fingerprint())


def signatures(*algorithms: str) -> list[str]:
    """Return the signature algorithms of keys: a host that gets a new type of key still shows the known one."""
    return [name for key in algorithms for name in (_RSA_SIGNATURES if key == "ssh-rsa" else (key,))]


async def find_or_add(keys: HostKeys, host: str, port: int) -> HostKey:
    """Return the stored key of a host; the first time the key that it offers is stored. Raises SetupError."""
    if not 0 < len(host) <= _MAX_HOST_LENGTH or "\0" in host:
        raise SetupError(f"ssh: host: {quoted(host)} is not the name or address of a machine")
    name = host.lower().rstrip(".")
    if known := await keys.get(name, port):
        return known
    added = await keys.add(name, port, await _read_offered(host, port))
    _log.warning("stored the host key of %s, port %s, at its first connection: %s", host, port, added)
    return added


async def check_unchanged(known: HostKey, host: str, port: int) -> None:
    """Raise StepError if a host offers another key than the stored one."""
    offered = await _read_offered(host, port)
    if offered == known:
        return
    command = shlex.join(["dagbook", "ssh-host-keys", "accept", host, "--port", str(port), *str(offered).split()])
    raise StepError(
        f"the host key of {host}, port {port}, has changed: stored is {known}, offered is {offered}. The machine was "
        f"replaced, or the connection is intercepted. Only if the new key is known to be right: {command}"
    )


async def _read_offered(host: str, port: int) -> HostKey:
    key = await asyncssh.get_server_host_key(
        host, port, server_host_key_algs=signatures(*HOST_KEY_ALGORITHMS), config=None
    )
    if key is None:
        raise StepError(f"{host}, port {port}, shows no host key")
    return describe(key)
