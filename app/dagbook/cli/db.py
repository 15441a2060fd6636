"""``dagbook db``: the database schema, upgraded and checked."""

from __future__ import annotations

import asyncio

import click

from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, current_settings, settings_options
from dagbook.cli.server_transport import lock_database
from dagbook.db.migrations.check import check as check_schema
from dagbook.db.migrations.upgrade import current as read_current
from dagbook.db.migrations.upgrade import head, require_known
from dagbook.db.migrations.upgrade import upgrade as upgrade_schema
from dagbook.db.url import hide_password


@click.group(cls=CommandGroup)
def db() -> None:
    """Upgrade or check the database schema."""


@db.command(cls=GlobalOptions)
@settings_options("database_url")
@friendly_errors
def upgrade() -> None:
    """Upgrade the database to the schema of this version; `serve` does this automatically."""
    settings = current_settings()
    with lock_database(settings, "dagbook db upgrade"):
        asyncio.run(upgrade_schema(settings.database_url, schema=settings.database_schema))
    click.echo(f"{hide_password(settings.database_url)} is at revision {head()}")


@db.command(cls=GlobalOptions)
@settings_options("database_url")
@friendly_errors
def current() -> int:
    """Print the schema revision of the database; exit status 1 when it is not the newest."""
    settings = current_settings()
    revision = asyncio.run(read_current(settings.database_url, schema=settings.database_schema))
    if revision == head():
        click.echo(revision)
        return 0
    require_known(settings.database_url, revision)
    click.echo(f"{revision or 'empty'} (newest is {head()})")
    return 1


@db.command(cls=GlobalOptions)
@settings_options("database_url")
@friendly_errors
def check() -> int:
    """Compare the schema, triggers included, with that of a new database; exit status 1 when it differs."""
    settings = current_settings()
    differences = asyncio.run(check_schema(settings.database_url, schema=settings.database_schema))
    for difference in differences:
        click.echo(difference)
    click.echo("the schema is correct" if not differences else f"{len(differences)} differences")
    return 1 if differences else 0
