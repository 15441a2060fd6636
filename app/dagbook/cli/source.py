"""``dagbook source``: directories and Git repositories that definitions come from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from dagbook.cli.client import Api, body_of, use_api
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, notice, settings_options, wants_json
from dagbook.cli.output import print_json, print_table, report
from dagbook.cli.terminal import echo
from dagbook.settings.dag_sources import is_path

_PATH = "/sources"
_POLL_SECONDS = 1.0
_settings = settings_options("database_url", "source_dir", "source_protocols", "source_remove_days")


@click.group(cls=CommandGroup, example="dagbook source add team https://git.example.org/team/dags.git")
def source() -> None:
    """Add, list, sync or remove directories and Git repositories that definitions come from.

    Goes through the server if one is running.
    """


@source.command("list", cls=GlobalOptions, example="dagbook source list")
@_settings
@friendly_errors
def list_sources() -> None:
    """Print the sources, with the time of the last sync and the number of files with problems."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get(_PATH))["sources"]
        rows = [
            (
                each["name"],
                _place_of(each),
                str(each["files"]),
                str(each["broken"]),
                each.get("commit", "")[:12],
                each.get("problem", "") or each.get("syncedAt", "not yet"),
            )
            for each in found
        ]
        none = "there are no sources; `dagbook source add NAME PLACE` adds one"
        print_table(("NAME", "PLACE", "FILES", "PROBLEMS", "COMMIT", "SYNCED"), rows, {"sources": found}, none)

    use_api("source", work)


@source.command(cls=GlobalOptions, example="dagbook source add team ~/dags --writable")
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
@_settings
@friendly_errors
def add(*, name: str, place: str, hook_secret_file: Path | None, credentials: Path | None, **options: Any) -> int:
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

    async def work(api: Api) -> int:
        added = body_of(await api.client.post(_PATH, json=body))
        if not wants_json():
            echo(f"added the source {added['name']}: {_place_of(added)}")
        return await _sync(api, name)

    return use_api("source", work)


@source.command(cls=GlobalOptions, example="dagbook source sync team")
@click.argument("name", metavar="NAME")
@_settings
@friendly_errors
def sync(name: str) -> int:
    """Read the source NAME now, and print the problems of its files.

    The exit status is 1 if there are problems.
    """

    async def work(api: Api) -> int:
        return await _sync(api, name)

    return use_api("source", work)


@source.command(cls=GlobalOptions, example="dagbook source remove team")
@click.argument("name", metavar="NAME")
@_settings
@friendly_errors
def remove(name: str) -> None:
    """Remove the source NAME; its DAGs stay as they are, and can be changed from then on."""

    async def work(api: Api) -> None:
        body_of(await api.client.delete(_path_of(name)))
        report(f"removed the source {name}; its DAGs stay", {"removed": name})

    use_api("source", work)


async def _sync(api: Api, name: str) -> int:
    found = body_of(await api.client.post(f"{_path_of(name)}/sync"))
    while "syncing" in found:
        progress = found["syncing"]
        notice(f"{progress['done']} of {progress['total']} files" if progress["total"] else "reading the source")
        await asyncio.sleep(_POLL_SECONDS)
        found = body_of(await api.client.get(_path_of(name), params={"perPage": 1}))
    if problem := found.get("problem"):
        raise click.ClickException(problem)
    if wants_json():
        print_json(body_of(await api.client.get(_path_of(name), params={"problems": "true", "perPage": 1000})))
        return 1 if found["broken"] else 0
    removed = f", {found['removed']} removed" if found["removed"] else ""
    commit = f" at commit {found['commit'][:12]}" if "commit" in found else ""
    files = "1 file" if found["files"] == 1 else f"{found['files']} files"
    echo(f"{name}{commit}: {files}, {found['broken']} with problems{removed}")
    if not found["broken"]:
        return 0
    details = body_of(await api.client.get(_path_of(name), params={"problems": "true", "perPage": 1000}))
    for file in details["sourcedFiles"]:
        for problem in file["problems"]:
            line = f":{problem['line']}" if problem["line"] else ""
            echo(f"{file['path']}{line}: {problem['message']}", err=True)
    return 1


def _place_of(found: dict[str, Any]) -> str:
    branch = f" ({found['branch']})" if "branch" in found else ""
    path = f" /{found['path']}" if "path" in found else ""
    return f"{found['place']}{branch}{path}"


def _path_of(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"
