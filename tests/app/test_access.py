"""Who is let in where there are no users, and what else opens or closes a server (api-behaviour 2.1, promises S10)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dagbook.accounts.auth_setup import check_authentication, find_warnings
from dagbook.api.middleware.local_user import LOCAL_USER
from dagbook.auth.roles import Role
from dagbook.main import check_exposure, is_open_to_all
from dagbook.settings import SettingsError, read
from tests.app.dagbook import client_of, command_of, serving
from tests.app.people import SECRET, code_of, serving_people
from tests.conftest import Copies

BASIC = {"auth_basic_username": "ann", "auth_basic_password": "a long pässword:1"}
TOKEN = {"auth_token": "a static töken of the tests"}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
async def url(copies: Copies) -> AsyncIterator[str]:
    async for made in copies.copy():
        yield made


async def ask(url: str, home: Path, settings: dict[str, str], *given: str) -> list[httpx.Response]:
    """Ask a server with these settings once for each Authorization."""
    async with serving(url, home, **settings) as server, client_of(server) as client:
        values = [value.encode() for value in given]
        headers = [[(b"Authorization", value)] if value else [] for value in values]
        return [await client.get("/dags", headers=header) for header in headers]


@pytest.mark.parametrize(
    ("settings", "allowed", "refused", "challenge"),
    [
        (
            TOKEN,
            ["Bearer a static töken of the tests"],
            [
                "",
                "Bearer ",
                "Bearer a static",
                "bearer a static töken of the tests",
                "a static töken of the tests",
                basic("a static töken of the tests:"),
            ],
            "Bearer",
        ),
        (
            BASIC,
            [basic("ann:a long pässword:1")],
            [
                "",
                basic("ann:"),
                basic("ann"),
                basic(":"),
                basic("ANN:a long pässword:1"),
                "Basic",
                "Basic ?",
                "Basic w6",
                "basic " + basic("ann:a long pässword:1")[6:],
                "Bearer a long pässword:1",
            ],
            "Basic",
        ),
        (
            {**TOKEN, **BASIC},
            ["Bearer a static töken of the tests", basic("ann:a long pässword:1")],
            ["", "Bearer x", basic("x:y")],
            "Basic",
        ),
    ],
    ids=["token", "basic", "both"],
)
async def test_who_has_the_credential_is_let_in_and_nobody_else(
    url: str, tmp_path: Path, settings: dict[str, str], allowed: list[str], refused: list[str], challenge: str
) -> None:
    answers = await ask(url, tmp_path, settings, *allowed, *refused)
    assert [answer.status_code for answer in answers] == [200] * len(allowed) + [401] * len(refused)
    for answer in answers[len(allowed) :]:
        assert code_of(answer) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == f'{challenge} realm="restricted"'


@pytest.mark.parametrize("half", BASIC)
async def test_half_a_pair_asks_nobody(url: str, tmp_path: Path, half: str) -> None:
    answers = await ask(url, tmp_path, {half: "x"}, "", basic("x:"), basic(":x"))
    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_with_users_neither_token_nor_pair_counts(url: str, tmp_path: Path) -> None:
    async with serving_people(url, tmp_path, **TOKEN, **BASIC) as people, people.client() as client:
        for given in ("Bearer a static töken of the tests", basic("ann:a long pässword:1")):
            answer = await client.get("/dags", headers=[(b"Authorization", given.encode())])
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="restricted"'


async def test_metrics_can_be_opened_to_all(url: str, tmp_path: Path) -> None:
    async with serving_people(url, tmp_path, metrics="public") as people, people.client() as client:
        assert (await client.get("/metrics")).status_code == 200


async def test_metrics_need_a_login_or_the_token_for_them_which_opens_nothing_else(url: str, tmp_path: Path) -> None:
    async with serving_people(url, tmp_path, metrics_token="for Prometheus alone") as people:  # noqa: S106
        viewer = await people.add(Role.VIEWER)
        for token, metrics, dags in (
            (None, 401, 401),
            ("another", 401, 401),
            (viewer.token, 200, 200),
            ("for Prometheus alone", 200, 401),
        ):
            async with people.client(token) as client:
                assert (await client.get("/metrics")).status_code == metrics
                assert (await client.get("/dags")).status_code == dags
        async with people.client("for Prometheus alone") as client:
            assert (await client.get("/metrics", params={"remoteNode": "x"})).status_code == 401
            assert (await client.post("/dag-runs", json={})).status_code == 401


async def test_without_authentication_metrics_can_be_read(url: str, tmp_path: Path) -> None:
    async with serving(url, tmp_path) as server, client_of(server) as client:
        assert (await client.get("/metrics")).status_code == 200


async def test_inline_runs_can_be_raised_to_the_right_to_write(url: str, tmp_path: Path) -> None:
    async with serving_people(url, tmp_path, inline_runs_need_write="true") as people:
        found = {}
        for role in (Role.OPERATOR, Role.MANAGER):
            async with people.client((await people.add(role)).token) as client:
                answers = [await client.post("/dag-runs", json={}), await client.post("/dags/none/start", json={})]
            found[role] = [answer.status_code for answer in answers]
    assert found == {Role.OPERATOR: [403, 404], Role.MANAGER: [400, 404]}


async def test_a_command_of_a_user_of_the_machine_may_do_everything(url: str, tmp_path: Path) -> None:
    async with serving_people(url, tmp_path) as people, command_of(people.server, "ann") as client:
        assert (await client.get("/users")).status_code == 200
        assert code_of(await client.get("/auth/me")) == (401, "unauthorized")
        assert (await client.get("/tokens")).json() == {"tokens": []}


async def test_the_audit_names_the_user_whose_command_it_was(url: str, tmp_path: Path) -> None:
    async with serving_people(url, tmp_path) as people, command_of(people.server, "ann") as client:
        assert (await client.post("/queues/q/pause")).is_success
        (entry,) = (await client.get("/audit")).json()["entries"]
    assert (entry["actor"], entry["via"], entry["action"]) == ("ann", "cli", "queue.pause")


async def test_no_header_makes_a_request_one_of_a_local_command(url: str, tmp_path: Path) -> None:
    async with serving_people(url, tmp_path) as people, people.client() as client:
        answer = await client.get("/users", headers={LOCAL_USER: "root", LOCAL_USER.replace("_", "-"): "root"})
        assert code_of(answer) == (401, "unauthorized")


async def test_a_command_needs_not_know_the_base_path_of_the_server(url: str, tmp_path: Path) -> None:
    async with serving(url, tmp_path, base_path="/flows") as server, command_of(server, "ann") as client:
        assert (await client.get("/dags")).status_code == 200


@pytest.mark.parametrize(
    ("host", "asked", "status"),
    [
        ("dags.example", "dags.example:8080", 200),
        ("dags.example", "other.example", 403),
        ("fe80::1", "[fe80::1]:8080", 200),
        ("0.0.0.0", "0.0.0.0:8080", 403),  # noqa: S104 - all addresses, and the name of none
        ("::", "[::]:8080", 403),
    ],
)
async def test_the_name_that_a_server_listens_at_is_its_own(
    url: str, tmp_path: Path, host: str, asked: str, status: int
) -> None:
    async with serving(url, tmp_path, host=host) as server, client_of(server) as client:
        assert (await client.get("/health", headers={"Host": asked})).status_code == status


# -- before it starts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, True),
        ({"auth_basic_username": "ann"}, True),
        ({"permissions_run_dags": "false"}, True),
        ({"auth_mode": "builtin"}, False),
        ({"auth_mode": "oidc"}, False),
        (TOKEN, False),
        (BASIC, False),
        ({"insecure": "true"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "dags.example"])  # noqa: S104 - refused
def test_other_machines_are_served_with_authentication_or_by_insisting(
    tmp_path: Path, settings: dict[str, str], refused: bool, host: str
) -> None:
    found = read({"host": host, **settings}, {}, tmp_path)
    if not refused:
        check_exposure(found)
        return
    with pytest.raises(SettingsError, match=r"set auth_mode to builtin.*--insecure"):
        check_exposure(found)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"auth_token": "x" * 23}, "auth_token"),
        ({"auth_mode": "builtin", "metrics_token": "x" * 23}, "metrics_token"),
        ({"auth_token": "x" * 23, "insecure": "true"}, "auth_token"),
        ({"auth_token": "x" * 23, **BASIC}, "auth_token"),
        ({"auth_basic_username": "ann", "auth_basic_password": "x" * 11}, "auth_basic_password"),
        ({"auth_token": "x" * 24, "auth_basic_username": "ann", "auth_basic_password": "x" * 12}, ""),
        ({"auth_token": "x", "auth_mode": "builtin"}, ""),  # it is ignored there
    ],
    ids=str,
)
def test_credentials_that_can_be_guessed_are_refused_where_other_machines_can_try(
    tmp_path: Path, settings: dict[str, str], named: str
) -> None:
    check_exposure(read({"host": "127.0.0.1", **settings}, {}, tmp_path))
    exposed = read({"host": "192.0.2.1", **settings}, {}, tmp_path)
    if not named:
        check_exposure(exposed)
        return
    with pytest.raises(SettingsError, match=rf"^{named} \(.*shorter than [12][24] characters") as caught:
        check_exposure(exposed)
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "to_all"),
    [
        ({"host": "0.0.0.0"}, True),  # noqa: S104 - warned of
        ({}, True),  # to what a proxy passes on
        ({"host": "192.0.2.1", **TOKEN}, False),
        (TOKEN, False),
    ],
    ids=str,
)
def test_who_insists_opens_a_server_only_where_nothing_else_guards_it(
    tmp_path: Path, settings: dict[str, str], to_all: bool
) -> None:
    assert is_open_to_all(read({"insecure": "true", **settings}, {}, tmp_path)) is to_all


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_is_served_without_authentication(tmp_path: Path, host: str) -> None:
    check_exposure(read({"host": host}, {}, tmp_path))


@pytest.mark.parametrize(("secret", "wrong"), [("", "is missing"), ("x" * 31, "is too short")])
def test_users_need_a_secret_that_holds(tmp_path: Path, secret: str, wrong: str) -> None:
    settings = read({"auth_mode": "builtin", "auth_token_secret": secret}, {}, tmp_path)
    with pytest.raises(SettingsError, match=rf"auth_token_secret .*{wrong}.*openssl rand"):
        check_authentication(settings)


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({}, ""),
        ({"auth_mode": "builtin", "auth_token_secret": SECRET, **TOKEN}, "are ignored"),
        ({"auth_basic_username": "ann"}, "only have an effect together"),
    ],
    ids=str,
)
def test_what_does_not_count_is_said(tmp_path: Path, settings: dict[str, str], warning: str) -> None:
    said = list(find_warnings(read(settings, {}, tmp_path)))
    assert len(said) == bool(warning)
    assert warning in "".join(said)
