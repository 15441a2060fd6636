"""``dagbook ssh-host-keys``: the stored keys of the hosts of SSH steps."""

from __future__ import annotations

import click

from dagbook.cli.client import Api, body_of, use_api
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options
from dagbook.cli.output import print_table, report
from dagbook.executors.contract import HOST_KEY_ALGORITHMS

_PATH = "/ssh-host-keys"
_port = click.option("--port", type=click.IntRange(1, 65535), default=22, show_default=True, help="Port of its server.")


@click.group("ssh-host-keys", cls=CommandGroup, example="dagbook ssh-host-keys list")
def ssh_host_keys() -> None:
    """List, accept or remove the keys that SSH steps accept with ssh_strict_host_key: accept-new."""


@ssh_host_keys.command("list", cls=GlobalOptions, example="dagbook ssh-host-keys list")
@settings_options("database_url")
@friendly_errors
def list_keys() -> None:
    """Print the stored keys: those of first connections, and those that a user has accepted."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get(_PATH))["hosts"]
        rows = [
            (
                host["host"],
                str(host["port"]),
                host["algorithm"],
                host["fingerprint"],
                host["storedAt"],
                host.get("acceptedBy", "first connection"),
            )
            for host in found
        ]
        print_table(
            ("HOST", "PORT", "ALGORITHM", "FINGERPRINT", "SINCE", "BY"), rows, {"hosts": found}, "no host key is stored"
        )

    use_api("ssh-host-keys", work)


@ssh_host_keys.command(
    cls=GlobalOptions,
    example="dagbook ssh-host-keys accept db.example.org ssh-ed25519 SHA256:jTnJ0cE6N1b6sE3mJv0",
)
@click.argument("host")
@_port
@click.argument("algorithm", type=click.Choice(HOST_KEY_ALGORITHMS))
@click.argument("fingerprint", metavar="SHA256:…")
@settings_options("database_url")
@friendly_errors
def accept(host: str, port: int, algorithm: str, fingerprint: str) -> None:
    """Accept a key as that of a host, in place of the stored one, or before the first connection.

    On the host itself, ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub prints its fingerprint.
    """
    body = {"host": host, "port": port, "algorithm": algorithm, "fingerprint": fingerprint}

    async def work(api: Api) -> None:
        body_of(await api.client.put(_PATH, json=body))
        report(f"{host}, port {port}, is accepted with {algorithm} {fingerprint}", body)

    use_api("ssh-host-keys", work)


@ssh_host_keys.command(cls=GlobalOptions, example="dagbook ssh-host-keys remove db.example.org")
@click.argument("host")
@_port
@settings_options("database_url")
@friendly_errors
def remove(host: str, port: int) -> None:
    """Delete the key of a host: the next connection stores the key that it gets."""

    async def work(api: Api) -> None:
        body_of(await api.client.delete(_PATH, params={"host": host, "port": port}))
        report(f"the key of {host}, port {port}, is deleted", {"deleted": {"host": host, "port": port}})

    use_api("ssh-host-keys", work)
