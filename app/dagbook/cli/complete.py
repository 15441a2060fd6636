"""Completion of DAG names and run ids in a shell: within a second, without writing anything, and silent on failure.

The shell asks at a press of a key, so the names are read from the database itself, which needs no server and does not
lock the file, or from the remote server that the line chooses.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from dagbook.cli.profiles import RemoteServer, chosen_server
from dagbook.cli.settings import current_settings
from dagbook.identifiers import strip_suffix
from dagbook.settings import Settings

_LIMIT_SECONDS = 1.0
_MOST_NAMES, _MOST_RUNS = 200, 50
_INSTRUCTIONS = 10_000  # of the statement, after which its time is looked at
_NAMES = "SELECT file_name FROM dags WHERE substr(file_name, 1, length({0})) = {0} ORDER BY file_name LIMIT {1}"
_RUNS = """
    SELECT run_id FROM runs WHERE root_id IS NULL AND substr(run_id, 1, length({0})) = {0}
    AND dag_name IN (SELECT {2} UNION SELECT dag_name FROM dags WHERE file_name = {2})
    ORDER BY created_at DESC LIMIT {1}
"""


def complete_dags(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of stored DAGs."""
    return [CompletionItem(name) for name in _find(context, incomplete, None)]


def complete_files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete file names."""
    return [CompletionItem(incomplete, type="file")]


def complete_what(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of stored DAGs, and files."""
    return [*complete_dags(context, parameter, incomplete), *complete_files(context, parameter, incomplete)]


def complete_runs(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the ids of the newest runs of the DAG that stands before them on the line."""
    name = next((context.params[key] for key in ("what", "name", "dag") if context.params.get(key)), "")
    return [CompletionItem(run) for run in _find(context, incomplete, strip_suffix(str(name)))] if name else []


def _find(context: click.Context, incomplete: str, dag: str | None) -> Sequence[str]:
    """Find names of DAGs, or runs of a DAG, that begin with a text."""
    try:
        with context.scope(cleanup=False):
            settings, server = current_settings(), chosen_server()
        if server is not None:
            return asyncio.run(_ask(server, incomplete, dag))
        if settings.database_url.startswith("sqlite"):
            return _read_sqlite(settings, incomplete, dag)
        return asyncio.run(_read_postgres(settings, incomplete, dag))
    except Exception:  # noqa: BLE001 - an error would be printed into the line that the user is typing
        return ()


def _query(incomplete: str, dag: str | None, mark: str) -> tuple[str, tuple[str | int, ...]]:
    """Return the statement with the driver's marks of values, and the values."""
    marks = (mark.format(number) for number in (1, 2, 3))
    if dag is None:
        return _NAMES.format(*marks), (incomplete, _MOST_NAMES)
    return _RUNS.format(*marks), (incomplete, _MOST_RUNS, dag)


def _read_sqlite(settings: Settings, incomplete: str, dag: str | None) -> Sequence[str]:
    from dagbook.db.url import sqlite_path  # noqa: PLC0415 - not needed on other ways

    path = sqlite_path(settings.database_url)
    statement, values = _query(incomplete, dag, "?{}")
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro" if path else "", uri=True, timeout=_LIMIT_SECONDS)
    end = time.monotonic() + _LIMIT_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > end, _INSTRUCTIONS)
    try:
        return [row[0] for row in connection.execute(statement, values)]
    finally:
        connection.close()


async def _read_postgres(settings: Settings, incomplete: str, dag: str | None) -> Sequence[str]:
    import asyncpg  # noqa: PLC0415 - not needed on other ways

    statement, values = _query(incomplete, dag, "${}")
    async with asyncio.timeout(_LIMIT_SECONDS):
        options = {"search_path": f'"{settings.database_schema}"'}
        connection = await asyncpg.connect(settings.database_url, server_settings=options)
        try:
            return [row[0] for row in await connection.fetch(statement, *values)]
        finally:
            connection.terminate()


async def _ask(server: RemoteServer, incomplete: str, dag: str | None) -> Sequence[str]:
    # Not needed on other ways.
    from dagbook.api.schemas.dags import DAGFiles  # noqa: PLC0415
    from dagbook.api.schemas.runs import DAGRuns  # noqa: PLC0415
    from dagbook.cli.api import decode  # noqa: PLC0415
    from dagbook.cli.remote import RemoteClient  # noqa: PLC0415

    async with asyncio.timeout(_LIMIT_SECONDS), RemoteClient(server) as client:
        if dag is None:
            found = await client.get("/dags", params={"name": incomplete, "perPage": _MOST_NAMES})
            names = [each.file_name for each in decode(found, DAGFiles).dags]
        else:
            query: dict[str, str | int] = {"fromDate": 0, "limit": _MOST_RUNS, "dagRunId": incomplete}
            found = await client.get(f"/dag-runs/{dag}", params=query)
            names = [each.dag_run_id for each in decode(found, DAGRuns).dag_runs]
    return [name for name in names if name.startswith(incomplete)]
