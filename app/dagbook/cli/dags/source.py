"""``dagbook source``: directories and Git repositories that definitions come from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import click

from dagbook.api.schemas.sources import Source, SourceDetails, SourcesList
from dagbook.cli.api import Api, segment, with_api
from dagbook.cli.commands import CommandGroup
from dagbook.cli.output import echo, notice, print_json, print_table, report, wants_json
from dagbook.settings.dag_sources import is_path

_PATH = "/sources"
_POLL_SECONDS = 1.0
_SETTINGS = ("database_url", "source_dir", "source_protocols", "source_remove_days")


@click.group(cls=CommandGroup, example="dagbook source add team https://git.example.org/team/dags.git")
def source() -> None:
    """Add, list, sync or remove directories and Git repositories that definitions come from.

    Goes through the server if one is running.
    """


@source.command("list", example="dagbook source list")
@with_api(*_SETTINGS)
async def list_sources(api: Api) -> None:
    """Print the sources, with the time of the last sync and the number of files with problems."""
    found = await api.get(_PATH, SourcesList)
    rows = [
        (
            each.name,
            _place_of(each),
            str(each.files),
            str(each.broken),
            (each.commit or "")[:12],
            each.problem or each.synced_at or "not yet",
        )
        for each in found.sources
    ]
    none = "there are no sources; `dagbook source add NAME PLACE` adds one"
    print_table(("NAME", "PLACE", "FILES", "PROBLEMS", "COMMIT", "SYNCED"), rows, found, none)


@source.command(example="dagbook source add team ~/dags --writable")
@click.argument("name", metavar="NAME")
@click.argument("place", metavar="PLACE")
@click.option("--branch", metavar="B", help="Branch of a repository; by default its own.")
@click.option("--path", metavar="P", help="Subdirectory with the definitions.")
@click.option("--writable", is_flag=True, help="Write what is saved in the web UI back into the files of a directory.")
@click.option("--adopt", is_flag=True, help="Take stored DAGs over that have the names of files.")
@click.option("--credentials", type=click.Path(path_type=Path), help="Private key for ssh; else a file for https.")
@click.option(
    "--hook-secret-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Secret of the webhook."
)
@with_api(*_SETTINGS)
def add(
    api: Api,
    /,
    *,
    name: str,
    place: str,
    hook_secret_file: Path | None,
    credentials: Path | None,
    **options: str | bool,
) -> Awaitable[int]:
    """Add the directory or Git repository PLACE as the source NAME, and sync it.

    PLACE is a path, or an address such as https://host/team/dags.git, git@host:team/dags.git or file:///srv/dags.git.
    The file of credentials for https has the lines username=… and password=…
    """
    body = {key: value for key, value in options.items() if value}
    body |= {"name": name, "place": str(Path(place).expanduser().absolute()) if is_path(place) else place}
    if credentials is not None:
        body["credentials"] = str(credentials.expanduser().absolute())
    if hook_secret_file is not None:
        body["hookSecret"] = hook_secret_file.read_text(encoding="utf-8").strip()

    async def work() -> int:
        added = await api.post(_PATH, Source, body)
        if not wants_json():
            echo(f"added the source {added.name}: {_place_of(added)}")
        return await _sync(api, name)

    return work()


@source.command(example="dagbook source sync team")
@click.argument("name", metavar="NAME")
@with_api(*_SETTINGS)
async def sync(api: Api, name: str) -> int:
    """Read the source NAME now, and print the problems of its files.

    The exit status is 1 if there are problems.
    """
    return await _sync(api, name)


@source.command(example="dagbook source remove team")
@click.argument("name", metavar="NAME")
@with_api(*_SETTINGS)
async def remove(api: Api, name: str) -> None:
    """Remove the source NAME; its DAGs stay as they are, and can be changed from then on."""
    await api.act("DELETE", _path_of(name))
    report(f"removed the source {name}; its DAGs stay", {"removed": name})


async def _sync(api: Api, name: str) -> int:
    found: Source = await api.post(f"{_path_of(name)}/sync", Source)
    while progress := found.syncing:
        notice(f"{progress.done} of {progress.total} files" if progress.total else "reading the source")
        await asyncio.sleep(_POLL_SECONDS)
        found = await api.get(_path_of(name), SourceDetails, {"perPage": 1})
    if found.problem:
        raise click.ClickException(found.problem)
    if wants_json():
        print_json(await _read_problems(api, name))
        return 1 if found.broken else 0
    removed = f", {found.removed} removed" if found.removed else ""
    commit = f" at commit {found.commit[:12]}" if found.commit else ""
    files = "1 file" if found.files == 1 else f"{found.files} files"
    echo(f"{name}{commit}: {files}, {found.broken} with problems{removed}")
    if not found.broken:
        return 0
    for file in (await _read_problems(api, name)).sourced_files:
        for problem in file.problems:
            line = f":{problem.line}" if problem.line else ""
            echo(f"{file.path}{line}: {problem.message}", err=True)
    return 1


async def _read_problems(api: Api, name: str) -> SourceDetails:
    return await api.get(_path_of(name), SourceDetails, {"problems": "true", "perPage": 1000})


def _place_of(found: Source) -> str:
    branch = f" ({found.branch})" if found.branch else ""
    path = f" /{found.path}" if found.path else ""
    return f"{found.place}{branch}{path}"


def _path_of(name: str) -> str:
    return f"{_PATH}/{segment(name)}"
