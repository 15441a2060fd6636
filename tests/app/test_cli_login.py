"""``dagbook login`` and ``logout``: a token by way of a browser, or pasted, and the profile with it."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from dagbook.identifiers import API_PATH
from tests.app.program import CommandResult
from tests.app.remote_server import RemoteDagbook, serving_open

Command = Callable[..., CommandResult]
# What the page of the server does when its user allows a token, or refuses it.
BROWSER = """\
import sys, urllib.parse, httpx
url = sys.argv[1]
given = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
server, answer = {server!r}, {answer!r}
fields = {{"state": given["state"]}}
if answer != "refuse":
    made = httpx.post(server + "{api}/tokens", headers={{"Authorization": "Bearer " + {token!r}}},
        json={{"name": "command line " + given["state"][:8]}}).json()
    fields |= {{"token": made["token"], "tokenId": made["details"]["id"]}}
listener = f"http://127.0.0.1:{{given['port']}}/"
for wrong in ({{"state": "x"}}, {{}}, {{"state": given["state"], "token": "a b"}}, {{"state": "x" * 20000}}):
    assert httpx.post(listener, data=wrong).status_code == 400, wrong
assert httpx.get(listener).status_code == 501
assert httpx.post(listener + "other", data=fields).status_code == 400
assert httpx.post(listener, data=fields).status_code == 200
"""


@pytest.fixture
def browser(remote: RemoteDagbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set a browser whose user gives an answer."""

    def choose(answer: str) -> None:
        script = tmp_path / "browse.py"
        script.write_text(BROWSER.format(server=remote.url, answer=answer, token=remote.token, api=API_PATH))
        program = tmp_path / "browser"
        program.write_text(f'#!/bin/sh\n{sys.executable} {script} "$1" 2> {tmp_path}/browser.log &\n')
        program.chmod(0o700)
        monkeypatch.setenv("BROWSER", str(program))
        monkeypatch.setattr("webbrowser._tryorder", None)

    return choose


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)


def test_a_token_that_is_allowed_in_the_browser_is_saved_and_revoked_by_the_logout(
    command: Command, remote: RemoteDagbook, browser: Callable[[str], None], tmp_path: Path
) -> None:
    browser("allow")
    said = command("login", remote.url, "--profile", "prod")
    assert said.out == (
        f"logged in at {remote.url} as root, for commands with --profile prod, or DAGBOOK_PROFILE=prod\n"
    ), said.err + (tmp_path / "browser.log").read_text()
    path = tmp_path / "config" / "dagbook" / "profiles.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    profile = yaml.safe_load(path.read_text())["profiles"]["prod"]
    assert profile["token"].startswith("dbk_")
    assert profile["token"] not in said.out + said.err
    assert command("dag", "list", "--profile", "prod").status == 0
    assert command("logout").out == "the profile prod is removed; its token is revoked\n"
    headers = {"Authorization": f"Bearer {profile['token']}"}
    assert httpx.get(f"{remote.url}{API_PATH}/dags", headers=headers).status_code == 401
    assert yaml.safe_load(path.read_text()) == {}


def test_a_token_that_is_refused_in_the_browser_is_not_saved(
    command: Command, remote: RemoteDagbook, browser: Callable[[str], None], tmp_path: Path
) -> None:
    browser("refuse")
    said = command("login", remote.url)
    assert (said.status, said.out) == (1, "")
    assert said.err.endswith("Error: the token was refused in the browser, so nothing is saved\n")
    assert not (tmp_path / "config").exists()


@pytest.mark.usefixtures("no_browser")
def test_without_a_browser_a_token_can_be_pasted(
    command: Command, remote: RemoteDagbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{remote.add_token('pasted')}\n"))
    said = command("login", remote.url, "--default", "--json")
    assert json.loads(said.out) == {"profile": "127.0.0.1", "server": remote.url, "username": "root"}
    assert f"this page shows a token: {remote.url}/cli-login?host=" in said.err
    assert command("dag", "list").status == 0  # by default
    said = command("logout")
    assert said.out == "the profile 127.0.0.1 is removed; its token stays valid\n"


def test_a_token_of_the_line_is_checked_and_saved(command: Command, remote: RemoteDagbook, tmp_path: Path) -> None:
    said = command("login", remote.url, "--token", "dbk_wrong")
    assert "refuses the token: it is wrong, expired or revoked" in said.err
    assert not (tmp_path / "config").exists()
    (tmp_path / "token").write_text(remote.add_token("from a file"))
    assert command("login", remote.url, "--token-file", tmp_path / "token", "--profile", "p").status == 0
    assert command("login", "--profile", "p", "--token", remote.token).status == 0  # its address is known
    assert command("dag", "list", "--profile", "p").status == 0


@pytest.mark.parametrize("text", ["", "\n", "two words\n"])
def test_what_is_no_token_is_not_saved(
    command: Command, remote: RemoteDagbook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    said = command("login", remote.url, "--paste")
    assert said.err == "Error: no token is given: paste one, or give --token-file FILE\n"
    assert not (tmp_path / "config").exists()


def test_a_server_that_asks_for_nothing_is_saved_without_a_token(
    command: Command, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with serving_open(tmp_path_factory.mktemp("open")) as url:
        assert command("login", url, "--profile", "open").out.startswith(f"logged in at {url}, for commands")
        assert command("dag", "list", "--profile", "open").status == 0
    saved = yaml.safe_load((tmp_path / "config" / "dagbook" / "profiles.yaml").read_text())
    assert saved == {"profiles": {"open": {"server": url}}}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("login",), "give the URL of the server"),
        (("login", "https://x", "--profile", "local"), "'local' cannot be the name of a profile"),
        (("login", "https://x", "--profile", "a b"), "'a b' cannot be the name of a profile"),
        (("login", "http://127.0.0.1:1"), "http://127.0.0.1:1 cannot be reached"),
        (("logout",), "give --profile NAME; there are: none"),
        (("logout", "--profile", "x"), "there is no profile 'x' to remove; there are: none"),
    ],
)
def test_what_cannot_be_is_told(command: Command, arguments: tuple[str, ...], told: str) -> None:
    said = command(*arguments)
    assert (said.status, said.out, told in said.err) == (1, "", True), said.err


def test_a_token_that_cannot_be_revoked_is_told_and_the_profile_is_removed(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "config" / "dagbook" / "profiles.yaml"
    path.parent.mkdir(parents=True)
    profile = {"server": "http://127.0.0.1:1", "token": "dbk_x", "token_id": "1"}
    path.write_text(yaml.safe_dump({"default": "gone", "profiles": {"gone": profile, "other": profile}}))
    path.chmod(0o600)
    said = command("logout")
    assert said.out == "the profile gone is removed; its token stays valid\n"
    assert said.err.endswith("; revoke the token on the page Account of the server\n")
    assert yaml.safe_load(path.read_text()) == {"profiles": {"other": profile}}
