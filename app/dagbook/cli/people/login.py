"""``dagbook login`` and ``dagbook logout``: a token for a remote server, made in the browser and saved in a profile."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

import click
import msgspec

from dagbook.api.schemas.dags import DAGFiles
from dagbook.api.schemas.people import UserResponse
from dagbook.cli.api import check, decode
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.output import echo, notice, report
from dagbook.cli.profiles import (
    Profile,
    RemoteServer,
    check_profile_name,
    choose,
    clean_address,
    given_options,
    is_token,
    profile_name,
    read_profiles,
    remove_profile,
    save_profile,
)
from dagbook.cli.remote import LoginRequired, open_remote
from dagbook.cli.runs.open import open_in_browser
from dagbook.cli.settings import with_settings
from dagbook.identifiers import shorten

_PAGE = "/cli-login"
_PATIENCE_SECONDS = 300
_CLIENT_SECONDS = 10
_MAX_BODY = 16_384
_LONGEST_HOST = 60
_DONE = b"<!doctype html><title>Dagbook</title><p>The command line has its answer. This page can be closed."


class Answer(NamedTuple):
    """What the browser sent: a token and its id, both empty if the user refused."""

    token: str
    token_id: str


@click.command(cls=GlobalOptions, example="dagbook login https://dags.example.org --profile prod --default")
@click.argument("url", required=False, default="")
@click.option("--default", "is_default", is_flag=True, help="Use this profile where a command names no server.")
@click.option("--ca-file", default="", metavar="FILE", help="Certificate authority of the server, if it is your own.")
@click.option("--paste", is_flag=True, help="Open no browser: ask for a token, or read it from standard input.")
@with_settings()
def login(*, url: str, is_default: bool, ca_file: str, paste: bool) -> None:
    """Log in at the server at URL, and save its token in a profile, by default of the name of its host.

    A page of the server opens in the browser, on which the user logs in and allows this command a token. Where no
    browser can be opened, the address of a page is printed that shows a token, to be pasted here. For the commands that
    manage users, tokens and the audit, an admin chooses the rights of an admin on the page, for 30 days at most.
    """
    options = given_options(click.get_current_context())
    name = options.get("profile", "")
    saved = read_profiles().profiles.get(name)
    address = url or options.get("server") or os.environ.get("DAGBOOK_SERVER") or (saved.server if saved else "")
    if not address:
        raise click.UsageError("give the URL of the server, such as https://dags.example.org")
    address = clean_address(address)
    name = name or profile_name(address)
    check_profile_name(name)
    ca_file = str(Path(ca_file).resolve()) if ca_file else saved.ca_file if saved else ""
    server = RemoteServer(url=address, ca_file=ca_file)
    given = Answer("", "")
    if {"token", "token_file"} & options.keys():
        chosen = choose({key: text for key, text in options.items() if key != "profile"} | {"server": address}, {})
        given = Answer(chosen.token if chosen else "", "")
    if not given.token and asyncio.run(_requires_login(server)):
        given = (None if paste else _ask_browser(address)) or _ask_for_token()
    username = asyncio.run(_find_username(msgspec.structs.replace(server, token=given.token)))
    profile = Profile(server=address, token=given.token, token_id=given.token_id, ca_file=ca_file)
    save_profile(name, profile, is_default=is_default)
    use = "for all commands" if is_default else f"for commands with --profile {name}, or DAGBOOK_PROFILE={name}"
    user = f" as {username}" if username else ""
    report(f"logged in at {address}{user}, {use}", {"profile": name, "server": address, "username": username})


async def _requires_login(server: RemoteServer) -> bool:
    """Whether a server asks for credentials; raises ClickException if it is not there, or none of Dagbook."""
    async with open_remote(server) as client:
        try:
            decode(await client.get("/dags", params={"perPage": 1}), DAGFiles)
        except LoginRequired:
            return True
    return False


async def _find_username(server: RemoteServer) -> str:
    """Return whose the token is, empty on a server without users; raises ClickException for one that is refused."""
    async with open_remote(server) as client:
        decode(await client.get("/dags", params={"perPage": 1}), DAGFiles)
        try:
            answer = await client.get("/auth/me")
        except LoginRequired:
            return ""
    return decode(answer, UserResponse).user.username if answer.is_success else ""


def _ask_browser(url: str) -> Answer | None:
    """Let the user allow a token in the browser; None where there is none. Raises ClickException."""
    state, host = secrets.token_urlsafe(32), socket.gethostname()[:_LONGEST_HOST]
    with _listening(state) as (port, answers):
        page = f"{url}{_PAGE}?{urlencode({'port': port, 'state': state, 'host': host})}"
        if not open_in_browser(page):
            echo(
                f"no browser can be opened here; this page shows a token: {url}{_PAGE}?{urlencode({'host': host})}",
                err=True,
            )
            return None
        echo(f"allow the token in the browser; if it does not show the page, open {page}", err=True)
        try:
            found = answers.get(timeout=_PATIENCE_SECONDS)
        except Empty:
            minutes = _PATIENCE_SECONDS // 60
            raise click.ClickException(f"the browser gave no answer in {minutes} minutes; try --paste") from None
    if not found.token:
        raise click.ClickException("the token was refused in the browser, so nothing is saved")
    return found


@contextmanager
def _listening(state: str) -> Iterator[tuple[int, Queue[Answer]]]:
    """Listen on a loopback port; yields it, and the queue of the answer with this state."""
    answers: Queue[Answer] = Queue()

    class Handler(BaseHTTPRequestHandler):
        """Takes the one form of the page of the server."""

        timeout = _CLIENT_SECONDS

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            size = int(length) if length.isdecimal() and len(length) < len(str(_MAX_BODY)) + 1 else _MAX_BODY + 1
            body = self.rfile.read(size).decode("ascii", "replace") if size <= _MAX_BODY else ""
            fields = {name: values[0] for name, values in parse_qs(body, max_num_fields=10).items()}
            token = fields.get("token", "")
            # A page of another site may post here as well, and has no way to know the state.
            is_ours = secrets.compare_digest(fields.get("state", "").encode(), state.encode())
            if not is_ours or self.path != "/" or (token and not is_token(token)):
                self.send_error(HTTPStatus.BAD_REQUEST)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(_DONE)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(_DONE)
            answers.put(Answer(token, fields.get("tokenId", "")))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Print nothing into the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="login", daemon=True)
        thread.start()
        try:
            yield server.server_address[1], answers
        finally:
            server.shutdown()
            thread.join()


def _ask_for_token() -> Answer:
    """Ask for a token without showing it, or read it from standard input; raises ClickException."""
    if sys.stdin.isatty():
        token = str(click.prompt("Token", hide_input=True, err=True)).strip()
    else:
        token = sys.stdin.readline().strip()
    if not is_token(token):
        raise click.ClickException("no token is given: paste one, or give --token-file FILE")
    return Answer(token, "")


@click.command(cls=GlobalOptions, example="dagbook logout --profile prod")
@with_settings()
def logout() -> None:
    """Remove a profile, and revoke its token if `dagbook login` has made it in the browser.

    Without --profile it is the default profile, or the only one.
    """
    saved = read_profiles()
    options = given_options(click.get_current_context())
    only = next(iter(saved.profiles)) if len(saved.profiles) == 1 else ""
    name = options.get("profile") or os.environ.get("DAGBOOK_PROFILE") or saved.default or only
    if name not in saved.profiles:
        known = ", ".join(sorted(saved.profiles)) or "none"
        raise click.ClickException(
            f"there is no profile {shorten(name)} to remove; there are: {known}"
            if name
            else f"give --profile NAME; there are: {known}"
        )
    is_revoked = asyncio.run(_revoke(saved.profiles[name]))
    remove_profile(name)
    what = "its token is revoked" if is_revoked else "its token stays valid"
    report(f"the profile {name} is removed; {what}", {"profile": name, "revoked": is_revoked})


async def _revoke(profile: Profile) -> bool:
    """Revoke the token of a profile, and mention why if that is not possible; returns whether it is revoked."""
    if not profile.token_id:
        return False
    server = RemoteServer(url=profile.server, token=profile.token, ca_file=profile.ca_file)
    try:
        async with open_remote(server) as client:
            check(await client.delete(f"/tokens/{profile.token_id}"))
    except click.ClickException as error:
        notice(f"{error.message}; revoke the token on the page Account of the server")
        return False
    return True
