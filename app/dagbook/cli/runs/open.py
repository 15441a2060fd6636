"""``dagbook open``: pages of the web UI in a browser, or their address where there is none."""

from __future__ import annotations

import os
import sys
import webbrowser

import click
import httpx

from dagbook.cli.api import Api, segment, with_api
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.complete import complete_dags, complete_runs
from dagbook.cli.output import echo, print_json, wants_json
from dagbook.cli.runs.lookup import find_run

_HTTP = ("http://", "https://")


@click.command("open", cls=GlobalOptions, example="dagbook open etl")
@click.argument("name", required=False, default="", metavar="[DAG]", shell_complete=complete_dags)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("--print", "is_printed", is_flag=True, help="Only print the address.")
@with_api()
async def open_page(api: Api, *, name: str, run_id: str, is_printed: bool) -> None:
    """Open the page of a DAG or of its run RUN_ID in a browser, without DAG the first page.

    Where no browser can be opened, the address is printed.
    """
    path = await _path(api, name, run_id)
    url = await _address(api) + path
    if wants_json():
        print_json({"url": url})
    elif is_printed or not open_in_browser(url):
        echo(url)
    else:
        echo(f"opened {url}")


async def _address(api: Api) -> str:
    """Return the address of the server; raises ClickException when there is none, or no browser reaches it."""
    await api.transport.enter()
    address = api.transport.address
    if not address:
        raise click.ClickException(
            "no server is running on this database; start one with `dagbook serve`, or give --server URL"
        )
    if not address.startswith(_HTTP):
        raise click.ClickException(f"the server listens at {address}, which no browser opens; open that of its proxy")
    return address.rstrip("/")


async def _path(api: Api, name: str, run_id: str) -> str:
    if not name:
        return "/"
    if not run_id and (await api.send("GET", f"/dags/{segment(name)}")).status_code == httpx.codes.OK:
        return f"/dags/{segment(name)}"
    run = await find_run(api, name, run_id)
    parts = dict.fromkeys([run.root_dag_run_id, run.dag_run_id])  # one if it is no sub-run
    return "/".join(["/dag-runs", *map(segment, (run.root_dag_run_name, *parts))])


def open_in_browser(url: str) -> bool:
    """Open an address in the user's browser; returns whether there is one.

    A machine without a display has none, whatever programs are installed: a browser in the terminal would take it.
    """
    has_display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if sys.platform.startswith("linux") and not has_display:
        return False
    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
