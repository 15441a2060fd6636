"""Logging in, the own account, and managing users (api-behaviour 2.3, 3.1: operations 2 to 10)."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.accounts.users import Users
from dagbook.auth.passwords import Hasher
from dagbook.auth.roles import Role
from dagbook.clock import now
from dagbook.db.repositories.accounts import users
from tests.app.people import PASSWORD, ROOT, People, Person, code_of, serving_people

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


@pytest.fixture
async def admin(people: People) -> AsyncIterator[httpx.AsyncClient]:
    async with people.client((await people.add(Role.ADMIN)).token) as client:
        yield client


@pytest.fixture
async def ann(people: People) -> Person:
    return await people.add(Role.VIEWER)


async def status_with(people: People, token: str) -> int:
    async with people.client(token) as client:
        return (await client.get("/auth/me")).status_code


# -- logging in ----------------------------------------------------------------------------------------------------


async def test_a_login_returns_a_token_that_identifies_the_user(people: People, ann: Person) -> None:
    async with people.client() as client:
        answer = await client.post("/auth/login", json={"username": ann.name, "password": PASSWORD})
        body = answer.json()
        assert answer.status_code == 200
        assert set(body) == {"token", "expiresAt", "user"}
        assert set(body["user"]) == {"id", "username", "role", "createdAt", "updatedAt"}
        assert re.fullmatch(INSTANT, body["expiresAt"])
        me = await client.get("/auth/me", headers={"Authorization": f"Bearer {body['token']}"})
    assert me.json() == {"user": body["user"]}


@pytest.mark.parametrize(
    "change", [{"password": "wrong"}, {"password": ""}, {"password": "x" * 100}, {"username": "?"}]
)
async def test_every_failed_login_has_the_same_answer(people: People, ann: Person, change: dict[str, str]) -> None:
    async with people.client() as client:
        answer = await client.post("/auth/login", json={"username": ann.name, "password": PASSWORD, **change})
    assert answer.json() == {"code": "unauthorized", "message": "user name or password is wrong"}
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="restricted"'


@pytest.mark.parametrize("name", ["", "\0", "a\0b", "ü" * 300, "' OR 1=1 --"])
async def test_an_unknown_name_is_a_failed_login(people: People, name: str) -> None:
    async with people.client() as client:
        answer = await client.post("/auth/login", json={"username": name, "password": "a\0b"})
    assert code_of(answer) == (401, "unauthorized")


async def test_names_are_case_sensitive(people: People, ann: Person) -> None:
    async with people.client() as client:
        body = {"username": ann.name.upper(), "password": PASSWORD}
        assert (await client.post("/auth/login", json=body)).status_code == 401


@pytest.fixture
async def slow(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[People]:
    """A server whose hashing takes long enough to be measured, and that does not throttle."""
    monkeypatch.setattr("dagbook.accounts.login_throttle.FAILURES", 1000)
    async with serving_people(database_url, tmp_path, auth_bcrypt_cost="8") as people:
        yield people


async def test_the_time_a_login_takes_does_not_tell_which_names_exist(slow: People) -> None:
    known = await slow.add(Role.VIEWER)
    times: dict[str, list[float]] = {known.name: [], "nobody": []}
    async with slow.client() as client:
        for _ in range(40):
            for name, taken in times.items():
                began = time.process_time()  # not the clock: on a busy machine that shows what others do
                await client.post("/auth/login", json={"username": name, "password": "wrong guess"})
                taken.append(time.process_time() - began)
    least = {name: min(taken) for name, taken in times.items()}
    assert abs(least[known.name] - least["nobody"]) < 0.3 * max(least.values())  # hashing is nearly all of it


async def test_a_login_brings_an_old_hash_to_the_cost_of_new_ones(slow: People, name: str) -> None:
    database = slow.server.services.runs.database
    cheap = Users(database, Hasher(4), now)
    row = await cheap.create(name, PASSWORD, Role.VIEWER, ROOT)
    token = await slow.login(name)
    found = await database.read(lambda connection: users.get(connection, row.id))
    assert found is not None
    assert found.password_hash.startswith("$2b$08$")
    assert await status_with(slow, token) == 200
    assert await status_with(slow, await slow.login(name)) == 200


# -- throttling ----------------------------------------------------------------------------------------------------


async def test_after_five_failures_a_login_has_to_wait_even_with_the_right_password(
    people: People, ann: Person
) -> None:
    async with people.client() as client:
        wrong = {"username": ann.name, "password": "wrong guess"}
        failed = [(await client.post("/auth/login", json=wrong)).status_code for _ in range(5)]
        refused = await client.post("/auth/login", json={"username": ann.name, "password": PASSWORD})
    assert failed == [401] * 5
    assert code_of(refused) == (429, "forbidden")
    assert 0 < int(refused.headers["retry-after"]) <= 15


async def test_guesses_at_once_are_no_way_around_the_limit(people: People, ann: Person) -> None:
    async with people.client() as client:
        wrong = {"username": ann.name, "password": "wrong guess"}
        answers = await asyncio.gather(*(client.post("/auth/login", json=wrong) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 15


async def test_a_name_that_does_not_exist_is_throttled_too(people: People, name: str) -> None:
    async with people.client() as client:
        body = {"username": name, "password": "wrong guess"}
        assert [(await client.post("/auth/login", json=body)).status_code for _ in range(6)] == [401] * 5 + [429]


async def test_a_login_that_succeeds_forgets_the_failures_before(people: People, ann: Person) -> None:
    async with people.client() as client:
        for password in ["wrong guess"] * 4 + [PASSWORD] + ["wrong guess"] * 5:
            last = await client.post("/auth/login", json={"username": ann.name, "password": password})
    assert last.status_code == 401


async def test_guessing_the_current_password_with_a_token_is_throttled(people: People, ann: Person) -> None:
    async with people.client(ann.token) as client:
        body = {"currentPassword": "wrong guess", "newPassword": "another horse"}
        answers = [(await client.post("/auth/change-password", json=body)).status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]


# -- the own account -----------------------------------------------------------------------------------------------


async def test_a_changed_password_voids_all_tokens_but_the_one_that_changed_it(people: People, ann: Person) -> None:
    other = await people.login(ann.name)
    async with people.client(ann.token) as client:
        body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
        answer = await client.post("/auth/change-password", json=body)
        assert (answer.status_code, set(answer.json())) == (200, {"message"})
    assert await status_with(people, ann.token) == 200
    assert await status_with(people, other) == 401
    assert await status_with(people, await people.login(ann.name, "another horse")) == 200


async def test_the_retained_token_is_revoked_by_the_next_change(people: People, ann: Person) -> None:
    token = ann.token
    for current, new in ((PASSWORD, "another horse"), ("another horse", "a third horse")):
        token = token if current == PASSWORD else await people.login(ann.name, current)
        async with people.client(token) as client:
            await client.post("/auth/change-password", json={"currentPassword": current, "newPassword": new})
    assert await status_with(people, ann.token) == 401
    assert await status_with(people, token) == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"currentPassword": "wrong guess", "newPassword": "short"}, (401, "unauthorized")),
        ({"currentPassword": PASSWORD, "newPassword": "short"}, (400, "bad_request")),
        ({"currentPassword": PASSWORD, "newPassword": "ä" * 37}, (400, "bad_request")),
        ({"currentPassword": PASSWORD}, (400, "bad_request")),
        ({"currentPassword": PASSWORD, "newPassword": PASSWORD}, None),
        ({"currentPassword": PASSWORD, "newPassword": "ä" * 8}, None),
    ],
)
async def test_a_wrong_current_password_wins_over_a_weak_new_one(
    people: People, ann: Person, body: dict[str, str], expected: tuple[int, str] | None
) -> None:
    async with people.client(ann.token) as client:
        answer = await client.post("/auth/change-password", json=body)
    assert (None if answer.status_code == 200 else code_of(answer)) == expected


# -- managing users ------------------------------------------------------------------------------------------------


async def test_a_user_is_made_shown_changed_and_removed(admin: httpx.AsyncClient, name: str) -> None:
    made = await admin.post("/users", json={"username": name, "password": PASSWORD, "role": "operator"})
    assert made.status_code == 201
    user = made.json()["user"]
    assert (user["username"], user["role"]) == (name, "operator")
    assert user["createdAt"] == user["updatedAt"]
    assert re.fullmatch(INSTANT, user["createdAt"])
    path = f"/users/{user['id']}"
    assert (await admin.get(path)).json() == {"user": user}
    assert user in (await admin.get("/users")).json()["users"]
    changed = await admin.patch(path, json={"username": f"{name}-2", "role": "manager"})
    assert changed.status_code == 200
    assert changed.json()["user"] | {"updatedAt": ""} == user | {
        "username": f"{name}-2",
        "role": "manager",
        "updatedAt": "",
    }
    removed = await admin.delete(path)
    assert (removed.status_code, removed.content) == (204, b"")
    assert code_of(await admin.delete(path)) == (404, "not_found")


async def test_no_answer_holds_a_password_s_hash(admin: httpx.AsyncClient, ann: Person) -> None:
    for path in ("/users", f"/users/{ann.id}", "/auth/me"):
        text = (await admin.get(path)).text
        assert "$2b$" not in text
        assert "hash" not in text.lower()


async def test_users_are_listed_from_the_oldest(admin: httpx.AsyncClient, people: People) -> None:
    for role in (Role.MANAGER, Role.VIEWER):
        await people.add(role)
    made = [user["createdAt"] for user in (await admin.get("/users")).json()["users"]]
    assert made == sorted(made)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"role": "ADMIN"}, (400, "bad_request")),
        ({"role": None}, (400, "bad_request")),
        ({"password": "seven77"}, (400, "bad_request")),
        ({"password": "PassWord123"}, (400, "bad_request")),
        ({"password": "1qaz2wsx"}, (400, "bad_request")),
        ({"password": "ä" * 37}, (400, "bad_request")),
        ({"username": ""}, (400, "bad_request")),
        ({"username": "x" * 65}, (400, "bad_request")),
        ({"username": "a\0b"}, (400, "bad_request")),
        ({"username": 7}, (400, "bad_request")),
    ],
)
async def test_a_user_that_cannot_be_is_refused(
    admin: httpx.AsyncClient, name: str, change: dict[str, Any], expected: tuple[int, str]
) -> None:
    answer = await admin.post("/users", json={"username": name, "password": PASSWORD, "role": "viewer", **change})
    assert code_of(answer) == expected
    assert next(iter(change)) in answer.json()["message"]


@pytest.mark.parametrize("password", ["ä" * 8, "x" * 72])
async def test_characters_are_counted_from_below_and_bytes_from_above(
    admin: httpx.AsyncClient, name: str, password: str
) -> None:
    body = {"username": name, "password": password, "role": "viewer"}
    assert (await admin.post("/users", json=body)).status_code == 201


async def test_a_name_that_is_taken_is_a_conflict(admin: httpx.AsyncClient, ann: Person, people: People) -> None:
    body = {"username": ann.name, "password": PASSWORD, "role": "viewer"}
    assert code_of(await admin.post("/users", json=body)) == (409, "already_exists")
    other = await people.add(Role.VIEWER)
    assert code_of(await admin.patch(f"/users/{other.id}", json={"username": ann.name})) == (409, "already_exists")
    assert (await admin.patch(f"/users/{ann.id}", json={"username": ann.name})).status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"role": "boss"}, (400, "bad_request")),
        ({"username": ""}, (400, "bad_request")),
        ({"username": "x" * 65}, (400, "bad_request")),
        ([], (400, "bad_request")),
        ({}, None),
        ({"role": None, "username": None, "color": 1}, None),
    ],
)
async def test_what_is_left_out_of_a_change_stays(
    admin: httpx.AsyncClient, ann: Person, body: Any, expected: tuple[int, str] | None
) -> None:
    answer = await admin.patch(f"/users/{ann.id}", json=body)
    assert (None if answer.status_code == 200 else code_of(answer)) == expected
    user = (await admin.get(f"/users/{ann.id}")).json()["user"]
    assert (user["username"], user["role"]) == (ann.name, "viewer")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"role": "viewer"}),
        ("PUT", "", {"role": "viewer"}),
        ("DELETE", "", None),
        ("POST", "/reset-password", {"newPassword": "short"}),
        ("PUT", "/password", {"newPassword": "short"}),
    ],
)
@pytest.mark.parametrize("user_id", ["00000000-0000-4000-8000-000000000000", "x", "%00", "..", "a%20b"])
async def test_an_unknown_id_is_not_found(
    admin: httpx.AsyncClient, method: str, path: str, body: Any, user_id: str
) -> None:
    answer = await admin.request(method, f"/users/{user_id}{path}", json=body)
    assert answer.status_code in ((404, 405) if user_id == ".." else (404,))


async def test_null_means_the_same_as_an_empty_object(admin: httpx.AsyncClient, ann: Person) -> None:
    assert (await admin.patch(f"/users/{ann.id}", content=b"null")).status_code == 200


async def test_a_user_cannot_remove_itself(people: People) -> None:
    person = await people.add(Role.ADMIN)
    async with people.client(person.token) as client:
        assert code_of(await client.delete(f"/users/{person.id}")) == (403, "forbidden")
        assert (await client.get("/auth/me")).status_code == 200


async def test_a_removed_user_s_tokens_are_void_at_once(people: People, admin: httpx.AsyncClient, ann: Person) -> None:
    assert await status_with(people, ann.token) == 200
    await admin.delete(f"/users/{ann.id}")
    assert await status_with(people, ann.token) == 401


async def test_another_role_or_name_counts_with_the_old_token(
    people: People, admin: httpx.AsyncClient, ann: Person, name: str
) -> None:
    await admin.patch(f"/users/{ann.id}", json={"role": "admin", "username": name})
    async with people.client(ann.token) as client:
        assert (await client.get("/auth/me")).json()["user"]["username"] == name
        assert (await client.get("/users")).status_code == 200
        await admin.patch(f"/users/{ann.id}", json={"role": "viewer"})
        assert code_of(await client.get("/users")) == (403, "forbidden")


@pytest.mark.parametrize(("method", "path"), [("POST", "reset-password"), ("PUT", "password")])
async def test_a_reset_password_voids_all_tokens_of_the_user(
    people: People, admin: httpx.AsyncClient, ann: Person, method: str, path: str
) -> None:
    answer = await admin.request(method, f"/users/{ann.id}/{path}", json={"newPassword": "another horse"})
    assert (answer.status_code, set(answer.json())) == (200, {"message"})
    assert await status_with(people, ann.token) == 401
    assert await status_with(people, await people.login(ann.name, "another horse")) == 200


async def test_a_reset_revokes_the_token_that_an_own_change_retained(
    people: People, admin: httpx.AsyncClient, ann: Person
) -> None:
    async with people.client(ann.token) as client:
        body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
        await client.post("/auth/change-password", json=body)
    await admin.post(f"/users/{ann.id}/reset-password", json={"newPassword": "a third horse"})
    assert await status_with(people, ann.token) == 401


async def test_put_does_what_patch_does(admin: httpx.AsyncClient, ann: Person) -> None:
    answer = await admin.put(f"/users/{ann.id}", json={"role": "operator"})
    assert (answer.status_code, answer.json()["user"]["role"]) == (200, "operator")


@pytest.fixture
async def lonely(database_url: str, tmp_path: Path) -> AsyncIterator[People]:
    """A server without users."""
    async with serving_people(database_url, tmp_path) as people:
        yield people


async def test_the_last_admin_stays_one(lonely: People) -> None:
    last = await lonely.add(Role.ADMIN)
    async with lonely.client(last.token) as client:
        refused = await client.patch(f"/users/{last.id}", json={"role": "manager"})
        assert code_of(refused) == (403, "forbidden")
        assert (await client.patch(f"/users/{last.id}", json={"role": "admin"})).status_code == 200
        second = await lonely.add(Role.ADMIN)
        assert (await client.patch(f"/users/{last.id}", json={"role": "manager"})).status_code == 200
    async with lonely.client(second.token) as client:
        assert code_of(await client.patch(f"/users/{second.id}", json={"role": "viewer"})) == (403, "forbidden")


async def test_the_actor_of_a_run_is_recorded(people: People, name: str) -> None:
    person = await people.add(Role.OPERATOR)
    async with people.client(person.token) as client:
        started = await client.post("/dag-runs", json={"name": name, "spec": "steps: [{command: sleep 30}]"})
        run_id = started.json()["dagRunId"]
        assert (await client.post(f"/dag-runs/{name}/{run_id}/stop")).status_code == 200
    statement = f"SELECT actor, stop_requested_by FROM runs WHERE dag_name = '{name}'"  # noqa: S608 - a name of ours
    row = await people.server.services.runs.database.read(
        lambda connection: connection.exec_driver_sql(statement).one()
    )
    assert tuple(row) == (person.name, person.name)
