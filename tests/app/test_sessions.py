"""Sessions: logins that are listed, ended, idle or too old, and the cookie of a browser (extension of the contract)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import func, select, update

from dagbook.auth.roles import Role
from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.user import Session
from dagbook.db.repositories.accounts import sessions
from dagbook.db.repositories.accounts.sessions import SessionRow
from dagbook.main import Server
from tests.app.dagbook import client_of, serving
from tests.app.people import PASSWORD, ROOT, Credential, People, Person, code_of, serving_people

LOGIN = {"username": "ann", "password": PASSWORD}


@pytest.fixture
async def ann(people: People) -> Person:
    return await people.add(Role.ADMIN)


async def status_of(people: People, credential: Credential, path: str = "/dags") -> int:
    async with people.client(credential) as client:
        return (await client.get(path)).status_code


async def listed(people: People, credential: Credential, **query: str) -> list[dict[str, Any]]:
    async with people.client(credential) as client:
        return list((await client.get("/sessions", params=query)).json()["sessions"])


async def rows_of(people: People, person: Person) -> list[SessionRow]:
    now = people.server.services.runs.now()
    return list(
        await people.server.services.runs.database.read(lambda reading: sessions.find_open(reading, now, person.id))
    )


async def make_older(people: People, person: Person, **by: float) -> None:
    """Move the logins of a user, and their last use, into the past."""
    delta = timedelta(**by)

    def work(connection: WriteConnection) -> None:
        for row in connection.execute(select(Session).where(Session.user_id == person.id)).mappings().all():
            values = {name: row[name] - delta for name in ("created_at", "last_used_at")}
            connection.execute(update(Session).where(Session.id == row["id"]).values(values))

    await people.server.services.runs.database.write(work)


# -- ending ----------------------------------------------------------------------------------------------------------


async def test_a_logout_ends_the_login_that_asks_and_no_other(people: People, ann: Person) -> None:
    other = await people.login(ann.name)
    async with people.client(ann.token) as client:
        assert (await client.post("/auth/logout")).status_code == 200
        assert code_of(await client.post("/auth/logout")) == (401, "unauthorized")
    assert (await status_of(people, ann.token), await status_of(people, other)) == (401, 200)


async def test_a_logout_of_a_browser_deletes_its_cookie(people: People, ann: Person) -> None:
    browser = await people.browse(ann.name)
    async with people.client(browser) as client:
        answer = await client.post("/auth/logout")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert await status_of(people, browser) == 401


async def test_what_is_no_login_cannot_log_out(people: People, ann: Person) -> None:
    async with people.client(ann.token) as client:
        token = (await client.post("/tokens", json={"name": "ci"})).json()["token"]
    async with people.client(token) as client:
        answer = await client.post("/auth/logout")
    assert code_of(answer) == (400, "bad_request")
    assert "revoked" in answer.json()["message"]


async def test_open_sessions_are_listed_with_where_they_come_from(people: People, ann: Person) -> None:
    async with people.client() as client:
        agent = "curl/8.9 \x1b[31m" + "x" * 300
        answer = await client.post("/auth/login", json={**LOGIN, "username": ann.name}, headers={"User-Agent": agent})
    first, second = await listed(people, answer.json()["token"])
    assert (first["address"], first["browser"], first["current"], second["current"]) == (
        "127.0.0.1",
        False,
        True,
        False,
    )
    assert (first["agent"][:8], len(first["agent"]), "\x1b" in first["agent"]) == ("curl/8.9", 200, False)
    assert (first["username"], first["userId"], first["expiresAt"]) == (ann.name, ann.id, answer.json()["expiresAt"])


async def test_one_ends_the_own_sessions_and_an_admin_those_of_all(people: People, ann: Person) -> None:
    bob, cy = await people.add(Role.VIEWER), await people.add(Role.VIEWER)
    (of_cy,) = await rows_of(people, cy)
    async with people.client(bob.token) as client:
        assert code_of(await client.delete(f"/sessions/{of_cy.id}")) == (404, "not_found")
        assert code_of(await client.get("/sessions", params={"all": "true"})) == (403, "forbidden")
        assert code_of(await client.delete("/sessions", params={"username": cy.name})) == (403, "forbidden")
    assert of_cy.id in {row["id"] for row in await listed(people, ann.token, all="true")}
    async with people.client(ann.token) as client:
        assert (await client.delete(f"/sessions/{of_cy.id}")).status_code == 204
        assert (await client.delete(f"/sessions/{of_cy.id}")).status_code == 204
        assert code_of(await client.delete("/sessions/nothing")) == (404, "not_found")
    assert (await status_of(people, cy.token), await status_of(people, bob.token)) == (401, 200)


async def test_all_sessions_but_the_one_that_asks_end_at_once(people: People, ann: Person) -> None:
    others: list[Credential] = [await people.login(ann.name), await people.browse(ann.name)]
    async with people.client(ann.token) as client:
        assert (await client.delete("/sessions")).json() == {"ended": 2}
        assert (await client.delete("/sessions")).json() == {"ended": 0}
        assert code_of(await client.delete("/sessions", params={"username": "nobody"})) == (404, "not_found")
    assert [await status_of(people, each) for each in (ann.token, *others)] == [200, 401, 401]


async def test_a_new_password_ends_the_other_sessions(people: People, ann: Person) -> None:
    other, browser = await people.login(ann.name), await people.browse(ann.name)
    async with people.client(browser) as client:
        body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
        assert (await client.post("/auth/change-password", json=body)).status_code == 200
    assert [await status_of(people, each) for each in (ann.token, other, browser)] == [401, 401, 200]


async def test_ends_are_in_the_audit_with_the_session_and_without_its_token(people: People, ann: Person) -> None:
    other = await people.login(ann.name)
    async with people.client(ann.token) as client:
        await client.post("/auth/logout")
    async with people.client(other) as client:
        (entry,) = (await client.get("/audit", params={"action": "logout", "actor": ann.name})).json()["entries"]
    assert (entry["kind"], entry["actor"], entry["before"]["user"]) == ("session", ann.name, ann.name)
    assert ann.token.rpartition(".")[2] not in str(entry)


async def test_a_session_is_stored_without_what_opens_it(people: People, ann: Person) -> None:
    (row,) = await rows_of(people, ann)
    assert not {text for text in map(str, msgspec.structs.astuple(row)) if text in ann.token and len(text) > 16}
    assert ann.token.rpartition(".")[2] not in str(row)


async def test_a_removed_user_s_sessions_are_gone(people: People) -> None:
    bob = await people.add(Role.VIEWER)
    await people.server.services.accounts.auth.users.remove(bob.id, ROOT)
    assert await people.server.services.runs.database.read(lambda reading: _count(reading, bob.id)) == 0
    assert await status_of(people, bob.token) == 401


async def test_the_next_login_deletes_sessions_that_were_over_a_month_ago(people: People, ann: Person) -> None:
    (row,) = await rows_of(people, ann)
    past = {"created_at": row.created_at - timedelta(days=60), "expires_at": row.created_at - timedelta(days=31)}
    change = update(Session).where(Session.id == row.id).values(past)
    await people.server.services.runs.database.write(lambda connection: connection.execute(change))
    await people.login(ann.name)
    assert await people.server.services.runs.database.read(lambda reading: _count(reading, ann.id)) == 1


def _count(connection: ReadConnection, user_id: str) -> int:
    return connection.scalar(select(func.count()).select_from(Session).where(Session.user_id == user_id)) or 0


# -- age -------------------------------------------------------------------------------------------------------------


async def test_a_use_is_written_once_a_minute(people: People, ann: Person) -> None:
    (before,) = await rows_of(people, ann)
    await status_of(people, ann.token)
    assert await rows_of(people, ann) == [before]
    await make_older(people, ann, minutes=2)
    await status_of(people, ann.token)
    (after,) = await rows_of(people, ann)
    assert after.last_used_at > before.last_used_at


async def test_a_browser_that_was_idle_for_twelve_hours_logs_in_again(people: People, ann: Person) -> None:
    browser = await people.browse(ann.name)
    await make_older(people, ann, hours=11.9)
    assert await status_of(people, browser) == 200
    await make_older(people, ann, hours=12.1)
    assert (await status_of(people, browser), await status_of(people, ann.token)) == (401, 200)
    assert [row["browser"] for row in await listed(people, ann.token)] == [False]


async def test_a_live_feed_that_is_only_open_is_no_use(people: People, ann: Person) -> None:
    caller = people.server.services.accounts.auth.sessions
    (row,) = await rows_of(people, ann)
    await make_older(people, ann, minutes=5)
    assert await caller.identify(ann.token, "192.0.2.1", is_browser=False, is_use=False) is not None
    (after,) = await rows_of(people, ann)
    assert after.last_used_at < row.last_used_at


CHANGES = [
    ("POST", "/users", {"username": "dee", "password": PASSWORD, "role": "viewer"}),
    ("PATCH", "/users/nobody", {"role": "viewer"}),
    ("DELETE", "/users/nobody", None),
    ("POST", "/users/nobody/reset-password", {"newPassword": PASSWORD}),
    ("POST", "/tokens", {"name": "ci"}),
    ("DELETE", "/tokens/nothing", None),
    ("POST", "/audit/prune", {"before": "2020-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_a_browser_logs_in_again_for_what_gives_power_for_longer(
    people: People, ann: Person, method: str, path: str, body: object
) -> None:
    browser = await people.browse(ann.name)
    await make_older(people, ann, minutes=16)
    async with people.client(browser) as client:
        old = await client.request(method, path, json=body)
        assert (await client.post("/dags", json={"name": f"a{ann.id[:8]}{len(path)}"})).status_code == 201
    assert code_of(old) == (403, "forbidden")
    assert old.json()["message"].startswith("log in again")
    assert 'error="insufficient_user_authentication"' in old.headers["www-authenticate"]
    async with people.client(await people.browse(ann.name)) as client:
        assert (await client.request(method, path, json=body)).status_code != 403
    async with people.client(ann.token) as client:  # programs are not asked
        assert (await client.request(method, path, json=body)).status_code != 403


@pytest.fixture
async def strict(database_url: str, tmp_path: Path) -> AsyncIterator[People]:
    limits = {"auth_session_idle_seconds": "600", "auth_fresh_login_seconds": "60"}
    async with serving_people(database_url, tmp_path, **limits) as people:
        yield people


async def test_settings_limit_the_logins_of_programs_too(strict: People) -> None:
    eve = await strict.add(Role.ADMIN)
    await make_older(strict, eve, minutes=5)
    async with strict.client(eve.token) as client:
        assert code_of(await client.post("/tokens", json={"name": "ci"})) == (403, "forbidden")
        assert (await client.get("/dags")).status_code == 200
    await make_older(strict, eve, minutes=11)
    assert await status_of(strict, eve.token) == 401


# -- the cookie of a browser -----------------------------------------------------------------------------------------


@pytest.fixture
async def reached(database_url: str, tmp_path: Path) -> AsyncIterator[People]:
    names = {"allowed_hosts": "dags.example.org,dags.lan,192.0.2.7", "base_path": "/flows/dags"}
    async with serving_people(database_url, tmp_path, **names) as people:
        yield people


@pytest.mark.parametrize(
    ("url", "name", "secure"),
    [
        ("http://localhost", "__Host-dagbook~80~flows~dags", True),
        ("http://127.0.0.1:8080", "__Host-dagbook~8080~flows~dags", True),
        ("http://[::1]:8080", "__Host-dagbook~8080~flows~dags", True),
        ("https://dags.example.org", "__Host-dagbook~443~flows~dags", True),
        ("http://dags.lan:8080", "dagbook~8080~flows~dags", False),
        ("http://192.0.2.7", "dagbook~80~flows~dags", False),
    ],
)
async def test_the_cookie_is_as_closed_as_the_address_allows(
    reached: People, url: str, name: str, secure: bool
) -> None:
    ann = await reached.add(Role.VIEWER)
    async with client_of(reached.server) as client:
        client.base_url = httpx.URL(f"{url}/flows/dags/api/v2")
        answer = await client.post("/auth/session", json={**LOGIN, "username": ann.name})
    assert answer.status_code == 201
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith(f"{name}=")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(attributes)
    assert ("Secure" in attributes, "Domain" in answer.headers["set-cookie"]) == (secure, False)


@pytest.mark.parametrize("host", ["[::1", "localhost:x", "localhost:99999999", "[", "", "a]b"])
async def test_a_host_that_is_none_gives_no_cookie_its_name(people: People, ann: Person, host: str) -> None:
    browser = await people.browse(ann.name)
    assert await status_of(people, {**browser, "Host": host}) < 500


async def test_a_change_with_a_cookie_needs_the_proof_that_no_other_site_has(people: People, ann: Person) -> None:
    browser = await people.browse(ann.name)
    alone = {"Cookie": browser["Cookie"]}
    foreign = {**browser, "X-CSRF-Token": (await people.browse(ann.name))["X-CSRF-Token"]}
    for credential in (alone, foreign):
        async with people.client(credential) as client:
            refused = [
                await client.post("/dags", json={"name": "never"}),
                await client.post("/dags/validate", json={"spec": ""}),
                await client.get("/dag-runs/never/1/dequeue"),
                await client.post("/auth/logout"),
            ]
            assert [code_of(answer) for answer in refused] == [(403, "forbidden")] * 4
            assert "X-CSRF-Token" in refused[0].json()["message"]
            found = (await client.get("/auth/session")).json()
            assert (found["csrfToken"], found["user"]["username"]) == (browser["X-CSRF-Token"], ann.name)
    async with people.client(browser) as client:
        assert (await client.post("/dags/validate", json={"spec": "steps: []"})).status_code == 200


async def test_with_a_header_the_cookie_does_not_count(people: People, ann: Person) -> None:
    browser = await people.browse(ann.name)
    for authorization in ("Bearer wrong", "Basic d3Jvbmc6d3Jvbmc=", ""):
        assert await status_of(people, {**browser, "Authorization": authorization}) == 401


async def test_what_has_no_cookie_has_no_session_to_show(people: People, ann: Person) -> None:
    async with people.client(ann.token) as client:
        assert code_of(await client.get("/auth/session")) == (404, "not_found")


async def test_a_wrong_login_sets_no_cookie(people: People, ann: Person) -> None:
    async with people.client() as client:
        answer = await client.post("/auth/session", json={"username": ann.name, "password": "wrong"})
    assert (code_of(answer), "set-cookie" in answer.headers) == ((401, "unauthorized"), False)


async def test_the_next_login_of_a_browser_ends_the_session_that_it_had(people: People, ann: Person) -> None:
    browser = await people.browse(ann.name)
    async with people.client(browser) as client:
        assert (await client.post("/auth/session", json={**LOGIN, "username": ann.name})).status_code == 201
    assert await status_of(people, browser) == 401
    assert sorted(row["browser"] for row in await listed(people, ann.token)) == [False, True]


async def test_a_page_at_which_nobody_is_does_not_prolong_its_session(people: People, ann: Person) -> None:
    browser = await people.browse(ann.name)
    await make_older(people, ann, minutes=5)
    before = {row.last_used_at for row in await rows_of(people, ann)}
    assert await status_of(people, {**browser, "X-Dagbook-Idle": "true"}) == 200
    assert {row.last_used_at for row in await rows_of(people, ann)} == before
    await status_of(people, browser)
    assert {row.last_used_at for row in await rows_of(people, ann)} != before


# -- without users ---------------------------------------------------------------------------------------------------

TOKEN = "the static token of these tests"  # noqa: S105 - of tests


@pytest.fixture
async def alone(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(database_url, tmp_path, auth_token=TOKEN) as server:
        yield server


async def test_a_browser_gets_a_cookie_for_the_token_of_the_settings(alone: Server) -> None:
    async with client_of(alone) as client:
        wrong = await client.post("/auth/session", json={"token": "another"})
        assert (code_of(wrong), "set-cookie" in wrong.headers) == ((401, "unauthorized"), False)
        answer = await client.post("/auth/session", json={"token": TOKEN})
        assert answer.status_code == 201
        cookie = answer.headers["set-cookie"]
        assert TOKEN not in cookie
        client.headers["Cookie"] = cookie.partition(";")[0]
        assert code_of(await client.post("/dags", json={"name": "kept"})) == (403, "forbidden")
        found = (await client.get("/auth/session")).json()
        assert (found["csrfToken"], "user" in found) == (answer.json()["csrfToken"], False)
        client.headers["X-CSRF-Token"] = found["csrfToken"]
        assert (await client.post("/dags", json={"name": "kept"})).status_code == 201
        left = await client.post("/auth/logout")
        assert (left.status_code, "Max-Age=0" in left.headers["set-cookie"]) == (200, True)


async def test_a_cookie_for_the_token_ends_and_cannot_be_prolonged(alone: Server) -> None:
    static = alone.services.accounts.auth.static_token
    assert static is not None
    now = alone.services.runs.now()
    (late, _), (soon, _) = static.make_cookie(now - timedelta(seconds=1)), static.make_cookie(now + timedelta(hours=1))
    forged = f"{soon.partition('.')[0]}0.{soon.partition('.')[2]}"
    async with client_of(alone) as client:
        for value, status in ((soon, 200), (late, 401), (forged, 401), ("", 401), (".", 401), (TOKEN, 401)):
            answer = await client.get("/dags", headers={"Cookie": f"__Host-dagbook~80={value}"})
            assert answer.status_code == status, value


async def test_without_authentication_there_is_no_session(server: Server) -> None:
    async with client_of(server) as client:
        assert code_of(await client.post("/auth/session", json={"token": "x"})) == (401, "unauthorized")
        assert code_of(await client.get("/auth/session")) == (404, "not_found")
        assert code_of(await client.post("/auth/logout")) == (400, "bad_request")
