"""``dagbook version``."""

from __future__ import annotations

import click

from app import __version__
from app.cli.options import GlobalOptions


@click.command(cls=GlobalOptions)
def version() -> None:
    """Print the version, alone on its line."""
    click.echo(__version__)
