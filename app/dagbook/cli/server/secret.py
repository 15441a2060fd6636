"""``dagbook secret``: stored secrets encrypted with another key."""

from __future__ import annotations

import click

from dagbook.api.schemas.maintenance import RekeyedSecrets
from dagbook.cli.api import Api, with_api
from dagbook.cli.commands import CommandGroup
from dagbook.cli.output import count_of, echo, print_json, wants_json


@click.group(cls=CommandGroup, example="dagbook secret rekey")
def secret() -> None:
    """Encrypt stored secrets with another key."""


@secret.command(example="dagbook secret rekey")
@with_api()
async def rekey(api: Api) -> int:
    """Encrypt all stored values of previous keys (secret_keys_previous) with the key of today (secret_key).

    Servers go on meanwhile. Repeat it after it was interrupted. `dagbook doctor` counts the values of each key. Exit
    status 1 when some are left: they are in use, damaged, or have a key that is not among the previous ones.
    """
    done = 0
    while True:
        found = await api.post("/secrets/rekey", RekeyedSecrets)
        done += found.done
        if not (found.left and found.done):
            break
        echo(f"{done:,} of {done + found.left:,} values are encrypted again", err=True)
    if wants_json():
        print_json({"done": done, "left": found.left, "unknown": found.unknown})
    else:
        echo(f"{count_of(done, 'value')} encrypted again, {found.left:,} left with previous keys")
        for key, count in found.unknown.items():
            echo(f"{count_of(count, 'value')} encrypted with the key {key}, which is not in secret_keys_previous")
    return 1 if found.left or found.unknown else 0
