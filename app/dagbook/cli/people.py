"""Shared parts of the commands about users and tokens: API access, tables, the password prompt."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click
import httpx

from dagbook.cli.client import body_of, open_api
from dagbook.cli.options import current_settings
from dagbook.cli.server_transport import Mode
from dagbook.telemetry.logging import configure

Work = Callable[[httpx.AsyncClient], Awaitable[None]]


def use_people_api(work: Work) -> None:
    """Run work with a client of the running server, or of this process when there is none."""
    settings = current_settings()
    configure(settings.log_format, "warning")

    async def call() -> None:
        async with open_api(settings, "users", Mode.READ) as api:
            await work(api.client)

    asyncio.run(call())


async def find_user(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """Return a user by name; raises ClickException when there is none."""
    for user in body_of(await client.get("/users"))["users"]:
        if user["username"] == name:
            found: dict[str, Any] = user
            return found
    raise click.ClickException(f"there is no user named {name!r}; `dagbook users list` shows them")


def ask_password() -> str:
    """Prompt twice in a terminal; otherwise read one line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\n")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        click.echo("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
