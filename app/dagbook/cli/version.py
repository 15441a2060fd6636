"""``dagbook version``."""

from __future__ import annotations

import click

from dagbook import __version__
from dagbook.cli.options import GlobalOptions


@click.command(cls=GlobalOptions)
def version() -> None:
    """Print the version."""
    click.echo(__version__)
