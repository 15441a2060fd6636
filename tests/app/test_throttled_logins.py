"""Strangers who guess neither get in nor keep others out (S4, S15)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from dagbook.accounts.sessions import Origin
from dagbook.auth.roles import Role
from dagbook.errors import AppError
from dagbook.main import Server
from tests.app.dagbook import client_of, serving
from tests.app.loopback import listening
from tests.app.people import PASSWORD, People, serving_people
from tests.conftest import SqliteCopies

ATTACKER, OTHER = "127.0.0.66", "127.0.0.2"
TOKEN = "a static token of the tests"  # noqa: S105 - of tests
PAIR = ("ann", "a password of ann's")


@asynccontextmanager
async def client_at(address: str, api: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that listens, with an address of its own."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(transport=transport, base_url=api, timeout=45) as client:
        yield client


@pytest.fixture
async def people(database_url: str, tmp_path: Path) -> AsyncIterator[People]:
    """A server with the limits of every server."""
    async with serving_people(database_url, tmp_path, auth_logins_per_minute="100") as opened:
        yield opened


async def log_in(client: httpx.AsyncClient, name: str, password: str) -> httpx.Response:
    return await client.post("/auth/login", json={"username": name, "password": password})


async def test_one_address_that_tries_130_names_does_not_keep_another_one_out(people: People) -> None:
    ann = await people.add(Role.VIEWER)
    async with listening(people.server) as api, client_at(ATTACKER, api) as attacker, client_at(OTHER, api) as other:
        guesses = [await log_in(attacker, f"user {number}", "guess") for number in range(130)]
        answer = await log_in(other, ann.name, PASSWORD)
    assert answer.status_code == 200
    statuses = [guess.status_code for guess in guesses]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 100
    assert all(int(guess.headers["retry-after"]) > 0 for guess in guesses if guess.status_code == 429)


async def test_after_a_hundred_failures_an_address_is_refused_for_the_rest_of_the_window(
    database_url: str, tmp_path: Path
) -> None:
    async with serving_people(database_url, tmp_path) as people:
        ann = await people.add(Role.VIEWER)
        async with listening(people.server) as api, client_at(ATTACKER, api) as attacker:
            statuses = [(await log_in(attacker, f"user {number}", "guess")).status_code for number in range(130)]
            refused = await log_in(attacker, ann.name, PASSWORD)
    assert statuses == [401] * 100 + [429] * 30
    assert refused.status_code == 429
    assert 800 < int(refused.headers["retry-after"]) <= 900


async def test_a_user_at_a_known_address_logs_in_while_many_addresses_use_up_the_attempts(people: People) -> None:
    ann = await people.add(Role.VIEWER)
    async with listening(people.server) as api, client_at(OTHER, api) as known:
        assert (await log_in(known, ann.name, PASSWORD)).status_code == 200

        async def guess(number: int) -> int:
            async with client_at(f"127.0.1.{number}", api) as bot:
                return (await log_in(bot, ann.name if number % 2 else f"user {number}", "guess")).status_code

        statuses = Counter([await guess(number) for number in range(1, 121)])
        assert statuses[401] + statuses[429] == 120
        assert statuses[429] >= 120 - 75
        async with client_at("127.0.2.1", api) as unknown:
            assert (await log_in(unknown, ann.name, PASSWORD)).status_code == 429
        assert (await log_in(known, ann.name, PASSWORD)).status_code == 200


async def test_ten_thousand_logins_take_little_memory(sqlite_copies: SqliteCopies, tmp_path: Path) -> None:
    sqlite_copies.copy_to(tmp_path / "logins.sqlite3")
    async with serving_people(f"sqlite:///{tmp_path}/logins.sqlite3", tmp_path, auth_logins_per_minute="100") as people:
        ann = await people.add(Role.VIEWER)
        logins = people.server.services.accounts.auth.logins

        async def guess(number: int) -> int:
            with pytest.raises(AppError) as caught:
                await logins.login(f"user {number}", "guess", Origin(address=f"198.51.{number // 250}.{number % 250}"))
            return caught.value.status

        before = psutil.Process().memory_info().rss
        statuses: Counter[int] = Counter()
        for first in range(0, 10_000, 100):
            statuses.update(await asyncio.gather(*(guess(number) for number in range(first, first + 100))))
        grown = psutil.Process().memory_info().rss - before
        async with people.client(ann.token) as client:
            assert (await client.get("/auth/me")).status_code == 200
    assert grown < 64 * 1024 * 1024
    assert statuses[401] + statuses[429] == 10_000
    assert statuses[401] <= 2 * 75  # the attempts of a minute, and of a second one on a slow machine


# -- tokens and HTTP Basic -------------------------------------------------------------------------------------------


@pytest.fixture
async def shared(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    """A server with a shared token and a shared password."""
    basic = {"auth_basic_username": PAIR[0], "auth_basic_password": PAIR[1]}
    async with serving(database_url, tmp_path, auth_token=TOKEN, **basic) as server:
        yield server


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def guess_all(client: httpx.AsyncClient, times: int) -> list[int]:
    """Guess the token and the password in turn."""
    statuses = []
    for number in range(times):
        if number % 2:
            answer = await client.get("/dags", auth=("ann", f"guess {number}"))
        else:
            answer = await client.get("/dags", headers=bearer(f"guess {number}"))
        statuses.append(answer.status_code)
    return statuses


async def test_guesses_of_the_token_and_the_password_count_and_then_the_right_one_is_refused_too(
    shared: Server,
) -> None:
    async with listening(shared) as api, client_at(ATTACKER, api) as attacker, client_at(OTHER, api) as other:
        assert await guess_all(attacker, 110) == [401] * 100 + [429] * 10
        for refused in (
            await attacker.get("/dags", headers=bearer(TOKEN)),
            await attacker.get("/dags", auth=PAIR),
        ):
            assert refused.status_code == 429
            assert 800 < int(refused.headers["retry-after"]) <= 900
        assert (await other.get("/dags", headers=bearer(TOKEN))).status_code == 200
        assert (await attacker.get("/health")).status_code == 200


async def test_a_program_that_works_is_not_kept_out_by_guesses_from_its_address(shared: Server) -> None:
    async with listening(shared) as api, client_at(ATTACKER, api) as attacker:
        assert (await attacker.get("/dags", auth=PAIR)).status_code == 200
        await guess_all(attacker, 110)
        assert (await attacker.get("/dags", auth=PAIR)).status_code == 200
        assert (await attacker.get("/dags", headers=bearer(TOKEN))).status_code == 429


async def test_a_browser_that_repeats_an_expired_token_is_no_guesser(people: People) -> None:
    async with people.client("expired") as client:
        answers = [await client.get("/dags") for _ in range(150)]
    assert {answer.status_code for answer in answers} == {401}


async def test_tokens_that_fail_and_logins_that_fail_are_counted_together(people: People) -> None:
    async with people.client() as client:
        for number in range(100):
            await client.get("/dags", headers=bearer(f"guess {number}"))
        assert (await log_in(client, "another", "guess")).status_code == 429


async def test_the_api_document_names_the_answer(shared: Server) -> None:
    async with client_of(shared) as client:
        document = (await client.get("/openapi.json", headers=bearer(TOKEN))).json()
    responses = [
        operation["responses"]
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    assert sum("429" in response for response in responses) > len(responses) * 0.9
