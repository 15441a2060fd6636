"""``dagbook query``: a ready query of the report views, or one in a file, as a report or as a check."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path

import click

from dagbook.cli.commands import LocalOptions, read_file
from dagbook.cli.output import echo_output, notice, print_table
from dagbook.cli.runs.logs import Moment
from dagbook.cli.settings import current_settings, json_option, with_settings
from dagbook.db.reports.query import (
    MOST_ROWS,
    QueryError,
    QueryResult,
    Window,
    ask_postgres,
    ask_sqlite,
    read_ready,
)
from dagbook.db.url import sqlite_path

_ROWS = 2  # the exit status of a check that has found something


@click.command(cls=LocalOptions, example="dagbook query late-starts --since 15m --fail-if-rows")
@click.argument("what", required=False, default="", metavar="[NAME|FILE]")
@click.option(
    "--since", type=Moment(), default="24h", show_default=True, help="Start of the window, :since in the text."
)
@click.option("--until", type=Moment(), default="0s", help="Its end, :until in the text; by default now.")
@click.option("--fail-if-rows", is_flag=True, help="Exit with status 2 if the query returns a row.")
@click.option("--sql", is_flag=True, help="Print the text of the query instead of running it.")
@json_option
@with_settings("database_url", "report_reader")
def query(*, what: str, since: datetime, until: datetime, fail_if_rows: bool, sql: bool) -> int:
    """Run the ready query NAME, or the one in FILE, on the views for reports; without either, list the ready ones.

    Read-only, in at most 5 s; the first 1,000 rows are printed. It needs the rights of the server's account, and shows
    the runs of all DAGs.
    """
    ready = read_ready()
    if not what:
        rows = [(name, text.partition("\n")[0].removeprefix("-- ")) for name, text in ready.items()]
        print_table(("QUERY", "WHAT IT RETURNS"), rows)
        return 0
    text = ready.get(what) or _read(what, ready)
    if sql:
        echo_output(text, nl=False)
        return 0
    try:
        found = _ask(text, Window.of(since, until))
    except QueryError as error:
        raise click.ClickException(f"{what}: {error}") from error
    _print(found)
    return _ROWS if fail_if_rows and (found.rows or found.more) else 0


def _read(what: str, ready: dict[str, str]) -> str:
    if what != "-" and not Path(what).exists():
        raise click.ClickException(f"there is no query and no file {what!r}; the ready queries are {', '.join(ready)}")
    text = read_file("FILE", what)
    if "\0" in text:
        raise click.ClickException(f"{what} is no text: it holds NUL characters")
    return text


def _ask(text: str, window: Window) -> QueryResult:
    try:
        settings = current_settings()
        path = sqlite_path(settings.database_url)
        is_own = path is None or os.geteuid() in (0, path.stat().st_uid)
    except FileNotFoundError as error:
        reason = f"there is no database {error.filename}; name its home with --home or DAGBOOK_HOME"
        raise click.ClickException(reason) from error
    except PermissionError:
        is_own = False
    if not is_own:
        raise click.ClickException(
            "the database belongs to the account of the server, and a query of it runs under that account alone: "
            "a step with run_as cannot have one"
        )
    if path is not None:
        return ask_sqlite(path, text, window)
    url, schema = settings.database_url, settings.database_schema
    return asyncio.run(ask_postgres(url, schema, text, window, settings.report_reader))


def _print(found: QueryResult) -> None:
    rows = [["NULL" if value is None else str(value).replace("\t", "\\t") for value in row] for row in found.rows]
    heads = [column.upper() for column in found.columns]
    print_table(heads, rows, {"columns": found.columns, "rows": found.rows, "more": found.more}, "no rows")
    if found.more:
        notice(f"there are more rows than {len(rows)}; at most {MOST_ROWS:,} rows of together 1 MiB are shown")
