"""``dagbook users`` and ``tokens``, with and without a server, and the first start of one with users."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from tests.app.people import PASSWORD, SECRET
from tests.app.program import CommandLine, CommandResult, end
from tests.conftest import Copies

BUILTIN = {"auth_mode": "builtin", "auth_token_secret": SECRET, "auth_bcrypt_cost": "4"}


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, **BUILTIN)


@pytest.fixture
async def anywhere(copies: Copies, tmp_path: Path) -> AsyncIterator[CommandLine]:
    """A command line on either engine."""
    async for url in copies.copy():
        yield CommandLine(tmp_path, url, **BUILTIN)


async def login(address: str, name: str, password: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(f"{address}/api/v2/auth/login", json={"username": name, "password": password})


async def test_sessions_are_listed_and_ended_beside_a_server_and_without_one(anywhere: CommandLine) -> None:
    for name in ("ann", "bob"):
        await anywhere.run("users", "add", name, "--role", "admin", given=f"{PASSWORD}\n")
    async with anywhere.server() as address:
        tokens = [(await login(address, name, PASSWORD)).json()["token"] for name in ("ann", "ann", "bob")]
        listed = (await anywhere.run("sessions", "list")).out.splitlines()
        assert sorted(row.split()[:3] for row in listed[1:]) == [
            ["ann", "token", "127.0.0.1"],
            ["ann", "token", "127.0.0.1"],
            ["bob", "token", "127.0.0.1"],
        ]
        assert (await anywhere.run("sessions", "end", "--user", "ann")).out == "2 sessions of ann ended\n"
        async with httpx.AsyncClient() as client:
            statuses = [
                (await client.get(f"{address}/api/v2/dags", headers={"Authorization": f"Bearer {token}"})).status_code
                for token in tokens
            ]
        assert statuses == [401, 401, 200]
    (left,) = (await anywhere.run("sessions", "list")).out.splitlines()[1:]
    assert (await anywhere.run("sessions", "end", left.split()[-1])).out == f"session {left.split()[-1]} is ended\n"
    assert (await anywhere.run("sessions", "list")).out.splitlines()[1:] == []


@pytest.mark.parametrize("words", [[], ["x", "--user", "ann"]])
def test_sessions_to_end_are_named_in_one_way(command: Callable[..., CommandResult], words: list[str]) -> None:
    said = command("sessions", "end", *words)
    assert (said.status != 0, "give the ids of sessions" in said.err) == (True, True), said


async def test_beside_a_server_everything_goes_through_it(line: CommandLine) -> None:
    flow = line.home / "flow.yaml"
    flow.write_text("steps:\n  - {name: first, command: echo hello}\n")
    async with line.server() as address:
        added = await line.run("users", "add", "bob", "--role", "operator", given=PASSWORD)
        assert added.status == 0, added.err
        assert (await login(address, "bob", PASSWORD)).status_code == 200
        token = (await line.run("tokens", "add", "bob", "ci", "--days", "2")).out.strip()
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
            assert (await client.get(f"{address}/api/v2/dags")).status_code == 200
            ran = await line.run("run", flow)
            assert (ran.status, "  hello\n" in ran.out) == (0, True), ran
            assert (await line.run("tokens", "revoke", "bob", "ci")).status == 0
            assert (await client.get(f"{address}/api/v2/dags")).status_code == 401


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a text into the standard input of commands in this process."""
    for name, text in BUILTIN.items():
        monkeypatch.setenv(f"DAGBOOK_{name.upper()}", text)
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["users", "add", "ann"], "password: is too short"),
        (["users", "add", "ann", "--role", "boss"], "'boss' is not one of"),
        (["users", "passwd", "nobody"], "there is no user named 'nobody'"),
        (["users", "role", "nobody", "admin"], "there is no user named 'nobody'"),
        (["users", "remove", "nobody"], "there is no user named 'nobody'"),
        (["tokens", "add", "nobody", "ci"], "there is no user named 'nobody'"),
        (["tokens", "revoke", "nobody", "ci"], "has no token named 'ci'"),
        (["sessions", "end", "nothing"], "you have no session with the id 'nothing'"),
        (["sessions", "end", "--user", "nobody"], "there is no user named 'nobody'"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    command: Callable[..., CommandResult], typed: Callable[[str], None], arguments: list[str], message: str
) -> None:
    typed("short")
    said = command(*arguments)
    assert (said.status, said.out) == (1, "")
    assert message in said.err
    assert "Traceback" not in said.err


async def test_beside_a_server_without_users_there_are_none_to_manage(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    async with line.server():
        said = await line.run("users", "list")
    assert (said.status, "set auth_mode to builtin" in said.err) == (1, True)


async def first_words(line: CommandLine) -> tuple[str, str]:
    """What a server says on both streams from its start to its end."""
    process = await line.begin("serve", "--port", "0")
    assert process.stderr is not None
    heard = b""
    while b"Dagbook serves " not in heard:
        read = await process.stderr.readline()
        assert read, heard
        heard += read
    process.terminate()
    said = await end(process)
    return said.out, heard.decode() + said.err


async def test_the_first_start_makes_an_admin_and_shows_the_password_once(line: CommandLine) -> None:
    out, err = await first_words(line)
    found = re.search(r"^    (\S{16})$", out, re.MULTILINE)
    assert found, out
    assert "'admin'" in out
    assert found[1] not in err
    again, _ = await first_words(line)
    assert again == ""
    async with line.server() as address:
        answer = await login(address, "admin", found[1])
    assert answer.json()["user"]["role"] == "admin"


async def test_a_given_first_admin_is_made_silently_and_counts_once(tmp_path: Path) -> None:
    given = {"auth_admin_username": "root", "auth_admin_password": PASSWORD}
    out, err = await first_words(CommandLine(tmp_path, **BUILTIN, **given))
    assert (out, PASSWORD in err) == ("", False)
    await first_words(CommandLine(tmp_path, **BUILTIN, auth_admin_username="other", auth_admin_password="x"))  # noqa: S106 - of a test
    async with CommandLine(tmp_path, **BUILTIN).server() as address:
        assert (await login(address, "root", PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auth_admin_password": "short"}, "auth_admin_password: is too short"),
        ({"auth_admin_username": "x" * 65}, "is not a user name"),
        ({"auth_token_secret": "short"}, "auth_token_secret (DAGBOOK_AUTH_TOKEN_SECRET): is too short"),
    ],
    ids=str,
)
async def test_a_first_start_that_cannot_be_is_refused(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    said = await CommandLine(tmp_path, **{**BUILTIN, **settings}).run("serve", "--port", "0")
    assert said.status == 1
    assert message in said.err
    assert "Traceback" not in said.err


async def test_serving_everybody_is_said_loudly(tmp_path: Path) -> None:
    line = CommandLine(tmp_path, host="0.0.0.0", insecure="true")  # noqa: S104 - warned of
    _, err = await first_words(line)
    assert "Warning: EVERYONE" in err
    assert "serves http://127.0.0.1:" in err


async def test_a_server_on_all_addresses_is_reached_from_the_terminal(tmp_path: Path) -> None:
    line = CommandLine(tmp_path, host="0.0.0.0", **BUILTIN)  # noqa: S104 - with users
    async with line.server():
        said = await line.run("users", "list")
    assert said.status == 0, said.err
