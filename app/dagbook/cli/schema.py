"""``dagbook schema``: the format of definitions as JSON Schema, for editors."""

from __future__ import annotations

import json

import click

from dagbook.cli.options import GlobalOptions
from dagbook.spec.grammar import document


@click.command(cls=GlobalOptions)
def schema() -> None:
    """Print the JSON Schema (2020-12) of a definition.

    With it an editor completes fields, explains them and marks errors.
    """
    click.echo(json.dumps(document.schema(), indent=2, ensure_ascii=False))
