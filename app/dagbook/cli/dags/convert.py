"""``dagbook convert``: rewrites a definition of the 2.x dialect."""

from __future__ import annotations

from pathlib import Path

import click

from dagbook.cli.commands import LocalOptions
from dagbook.cli.dags.files import STDIN, UnreadableFileError, complain, read_file, write_file
from dagbook.cli.output import echo, echo_output
from dagbook.spec.conversion.convert import convert as convert_text


@click.command(cls=LocalOptions, example="dagbook convert etl.yaml -o etl.yaml")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE|-")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="OUT", help="File to write to, which may be FILE."
)
def convert(*, file: Path, output: Path | None) -> int:
    """Rewrite a definition of the 2.x dialect as one that Dagbook reads, and print it. FILE may be - for stdin.

    Comments, order and layout stay. What has no counterpart stays as it is and is listed with its line on stderr; the
    exit status is then 1, as it is when the result is invalid for another reason.
    """
    shown = "stdin" if file == STDIN else str(file)
    try:
        text = read_file(file)
    except UnreadableFileError as error:
        raise click.ClickException(f"{shown}: {error}") from error
    conversion = convert_text(text)
    if conversion.problems and not conversion.is_2x:  # no YAML: there is nothing to rewrite
        complain(shown, conversion.problems)
        return 1
    if output is None:
        echo_output(conversion.text, nl=False)
    else:
        write_file(output, conversion.text)
    if not conversion.is_2x:
        echo(f"{shown}: is a 1.x definition already; nothing to convert", err=True)
        return 0
    complain(shown, conversion.left)
    complain(f"{shown} (converted)" if output is None else output, conversion.problems)
    if count := len(conversion.left):
        what = "part has" if count == 1 else "parts have"
        echo(f"{shown}: converted, but {count} {what} no counterpart and must be rewritten by hand", err=True)
    elif not conversion.problems and output is not None:
        echo(f"{output}: converted and valid", err=True)
    return 1 if conversion.left or conversion.problems else 0
