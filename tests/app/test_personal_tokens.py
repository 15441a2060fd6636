"""Personal API tokens: made, listed, used, revoked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from dagbook.auth.roles import Role
from dagbook.auth.tokens import hash_of
from dagbook.clock import now
from dagbook.db.models import DagAccess, Token
from tests.app.people import PASSWORD, People, Person, code_of, serving_people


@pytest.fixture
async def ann(people: People) -> Person:
    return await people.add(Role.OPERATOR)


@pytest.fixture
async def client(people: People, ann: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with people.client(ann.token) as opened:
        yield opened


@pytest.fixture
async def admin(people: People) -> AsyncIterator[httpx.AsyncClient]:
    async with people.client((await people.add(Role.ADMIN)).token) as opened:
        yield opened


async def make(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/tokens", json={"name": "ci", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def me(people: People, token: str) -> httpx.Response:
    async with people.client(token) as client:
        return await client.get("/auth/me")


async def test_a_token_speaks_for_its_user_with_its_role(
    people: People, client: httpx.AsyncClient, ann: Person
) -> None:
    made = await make(client, role="viewer")
    user = (await me(people, made["token"])).json()["user"]
    assert (user["username"], user["role"]) == (ann.name, "viewer")
    assert (made["details"]["username"], made["details"]["role"]) == (ann.name, "viewer")


async def test_without_a_role_a_token_has_its_user_s(client: httpx.AsyncClient) -> None:
    assert (await make(client))["details"]["role"] == "operator"


async def test_a_token_is_shown_once_and_only_its_hash_is_stored(people: People, client: httpx.AsyncClient) -> None:
    token = (await make(client))["token"]
    listed = await client.get("/tokens")
    assert token not in listed.text
    assert hash_of(token) not in listed.text
    rows = await people.server.services.runs.database.read(
        lambda connection: [*map(str, connection.exec_driver_sql("SELECT * FROM tokens"))]
    )
    assert not [row for row in rows if token in row]
    assert len([row for row in rows if hash_of(token) in row]) == 1


async def test_the_use_of_a_token_is_noted(people: People, client: httpx.AsyncClient) -> None:
    made = await make(client)
    assert "lastUsedAt" not in made["details"]
    await me(people, made["token"])
    assert [token["lastUsedAt"] > token["createdAt"] for token in (await client.get("/tokens")).json()["tokens"]] == [
        True
    ]


async def test_a_revoked_token_is_void_and_stays_listed(people: People, client: httpx.AsyncClient) -> None:
    made = await make(client)
    path = f"/tokens/{made['details']['id']}"
    answer = await client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await me(people, made["token"])).status_code == 401
    (listed,) = (await client.get("/tokens")).json()["tokens"]
    assert listed["revokedAt"] >= listed["createdAt"]
    assert (await client.delete(path)).status_code == 204
    assert (await client.get("/tokens")).json()["tokens"] == [listed]


async def test_a_name_is_free_again_when_its_token_is_revoked(client: httpx.AsyncClient) -> None:
    made = await make(client)
    assert code_of(await client.post("/tokens", json={"name": "ci"})) == (409, "already_exists")
    await client.delete(f"/tokens/{made['details']['id']}")
    await make(client)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": ""}, (400, "bad_request")),
        ({"name": "  "}, (400, "bad_request")),
        ({"name": "x" * 65}, (400, "bad_request")),
        ({"name": "a\0"}, (400, "bad_request")),
        ({"name": None}, (400, "bad_request")),
        ({"role": "boss"}, (400, "bad_request")),
        ({"role": "manager"}, (403, "forbidden")),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, (400, "bad_request")),
        ({"expiresAt": "2090-01-01T00:00:00"}, (400, "bad_request")),
        ({"expiresAt": "tomorrow"}, (400, "bad_request")),
        ({"expiresAt": 5}, (400, "bad_request")),
        ({"username": "somebody else"}, (403, "forbidden")),
    ],
    ids=str,
)
async def test_a_token_that_cannot_be_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    answer = await client.post("/tokens", json={"name": "ci", **body})
    assert code_of(answer) == expected
    assert next(iter(body)) in answer.json()["message"]


async def test_a_token_expires_at_its_time(client: httpx.AsyncClient) -> None:
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    details = (await make(client, expiresAt=end))["details"]
    assert datetime.fromisoformat(details["expiresAt"]) == datetime.fromisoformat(end)


async def test_a_token_makes_no_tokens(people: People, client: httpx.AsyncClient) -> None:
    async with people.client((await make(client))["token"]) as program:
        assert code_of(await program.post("/tokens", json={"name": "more"})) == (403, "forbidden")


async def test_others_tokens_are_neither_seen_nor_revoked(people: People, client: httpx.AsyncClient) -> None:
    made = await make(client)
    async with people.client((await people.add(Role.MANAGER)).token) as other:
        assert (await other.get("/tokens")).json() == {"tokens": []}
        assert code_of(await other.get("/tokens", params={"all": "true"})) == (403, "forbidden")
        assert code_of(await other.delete(f"/tokens/{made['details']['id']}")) == (404, "not_found")
    assert (await me(people, made["token"])).status_code == 200


async def test_admins_make_see_and_revoke_the_tokens_of_others(
    people: People, admin: httpx.AsyncClient, ann: Person
) -> None:
    made = await make(admin, username=ann.name)
    assert (await me(people, made["token"])).json()["user"]["username"] == ann.name
    listed = (await admin.get("/tokens", params={"all": "true"})).json()["tokens"]
    assert made["details"]["id"] in {token["id"] for token in listed}
    assert (await admin.delete(f"/tokens/{made['details']['id']}")).status_code == 204
    assert (await me(people, made["token"])).status_code == 401


async def test_admins_create_no_token_without_user_or_above_its_role(admin: httpx.AsyncClient, ann: Person) -> None:
    assert code_of(await admin.post("/tokens", json={"name": "x", "username": "nobody"})) == (404, "not_found")
    body = {"name": "x", "username": ann.name, "role": "admin"}
    assert code_of(await admin.post("/tokens", json=body)) == (403, "forbidden")


@pytest.mark.parametrize("token_id", ["nothing", "%00"])
async def test_an_id_that_no_token_has_is_not_found(admin: httpx.AsyncClient, token_id: str) -> None:
    assert code_of(await admin.delete(f"/tokens/{token_id}")) == (404, "not_found")


async def test_a_reset_password_voids_personal_tokens(
    people: People, client: httpx.AsyncClient, admin: httpx.AsyncClient, ann: Person
) -> None:
    token = (await make(client))["token"]
    await admin.post(f"/users/{ann.id}/reset-password", json={"newPassword": "another horse"})
    assert (await me(people, token)).status_code == 401


async def test_an_own_change_spares_the_token_that_made_it(people: People, client: httpx.AsyncClient) -> None:
    used, void = [(await make(client, name=name))["token"] for name in ("used", "other")]
    async with people.client(used) as program:
        body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
        assert (await program.post("/auth/change-password", json=body)).status_code == 200
        assert (await program.get("/auth/me")).status_code == 200
    assert (await me(people, void)).status_code == 401
    assert (await client.get("/auth/me")).status_code == 401


async def test_a_history_names_the_token_beside_its_user(
    people: People, client: httpx.AsyncClient, ann: Person, name: str
) -> None:
    async with people.client((await make(client))["token"]) as program:
        await program.post("/dag-runs", json={"name": name, "spec": "steps: [{command: 'true'}]"})
    statement = f"SELECT actor FROM runs WHERE dag_name = '{name}'"  # noqa: S608 - a name of ours
    actor = await people.server.services.runs.database.read(
        lambda connection: connection.exec_driver_sql(statement).scalar()
    )
    assert actor == f"{ann.name} (token ci)"


# -- limits ----------------------------------------------------------------------------------------------------------


async def test_a_token_for_runs_starts_one_and_reads_nothing(people: People, admin: httpx.AsyncClient) -> None:
    made = await make(admin, scopes=["run", "run"])
    assert made["details"]["scopes"] == ["run"]
    async with people.client(made["token"]) as client:
        assert code_of(await client.get("/dags")) == (403, "forbidden")
        refused = await client.post("/dags", json={"name": "never"})
        assert (code_of(refused), "the scope write" in refused.json()["message"]) == ((403, "forbidden"), True)
        started = await client.post("/dag-runs", json={"name": "by-token", "spec": "steps: []"})
        assert started.status_code == 200
        assert code_of(await client.get(f"/dag-runs/by-token/{started.json()['dagRunId']}")) == (403, "forbidden")


async def test_a_token_for_reading_has_no_higher_role_in_what_asks_for_one(
    people: People, admin: httpx.AsyncClient
) -> None:
    token = (await make(admin, scopes=["read"]))["token"]
    assert (await me(people, token)).json()["user"]["role"] == "viewer"
    async with people.client(token) as client:
        assert code_of(await client.get("/tokens", params={"all": "true"})) == (403, "forbidden")
        assert code_of(await client.delete("/sessions")) == (403, "forbidden")


@pytest.mark.parametrize(
    ("addresses", "status"),
    [(["127.0.0.1"], 200), (["192.0.2.0/24", "127.0.0.0/8"], 200), (["192.0.2.0/24"], 401), (["::/0"], 401)],
)
async def test_a_token_counts_from_its_addresses_only(
    people: People, client: httpx.AsyncClient, addresses: list[str], status: int
) -> None:
    assert (await me(people, (await make(client, addresses=addresses))["token"])).status_code == status


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"scopes": []}, "scopes: is empty"),
        ({"scopes": ["all"]}, "scopes"),
        ({"addresses": []}, "addresses: give 1 to 50"),
        ({"addresses": ["192.0.2.1/24"]}, "addresses: '192.0.2.1/24' is no address or network"),
        ({"addresses": ["example.org"]}, "addresses: 'example.org' is no address or network"),
        ({"addresses": ["192.0.2.1"] * 51}, "addresses: give 1 to 50"),
    ],
)
async def test_a_limit_that_means_nothing_is_refused(
    client: httpx.AsyncClient, limit: dict[str, list[str]], told: str
) -> None:
    answer = await client.post("/tokens", json={"name": "ci", **limit})
    assert (code_of(answer), told in answer.json()["message"]) == ((400, "bad_request"), True), answer.text


async def test_no_token_gets_older_than_the_setting_allows(database_url: str, tmp_path: Path) -> None:
    async with (
        serving_people(database_url, tmp_path) as people,
        people.client((await people.add("admin")).token) as eve,
    ):
        made = await make(eve)
        assert "expiresAt" not in made["details"]
        assert (await me(people, made["token"])).status_code == 200
        older = update(Token).where(Token.id == made["details"]["id"]).values(created_at=now() - timedelta(days=31))
        await people.server.services.runs.database.write(lambda connection: connection.execute(older))
    limit = {"auth_personal_token_days": "30"}
    async with serving_people(database_url, tmp_path, **limit) as people:
        assert (await me(people, made["token"])).status_code == 401
        async with people.client((await people.add("admin")).token) as eve:
            ends = datetime.fromisoformat((await make(eve, name="new"))["details"]["expiresAt"])
            assert timedelta(days=29) < ends - datetime.now(UTC) <= timedelta(days=30)
            late = (datetime.now(UTC) + timedelta(days=31)).isoformat()
            refused = await eve.post("/tokens", json={"name": "late", "expiresAt": late})
            assert (code_of(refused)[0], "expiresAt: is later than" in refused.json()["message"]) == (400, True)


# -- the scope admin -------------------------------------------------------------------------------------------------

# What only a fresh login may do, and a token that names the scope admin.
FRESH = [
    ("POST", "/users", {"username": "eve", "password": PASSWORD, "role": "admin"}),
    ("PATCH", "/users/nobody", {"role": "viewer"}),
    ("DELETE", "/users/nobody", None),
    ("POST", "/users/nobody/reset-password", {"newPassword": PASSWORD}),
    ("POST", "/groups", {"name": "g"}),
    ("POST", "/grants", {"role": "viewer", "pattern": "*"}),
    ("POST", "/audit/prune", {}),
    ("DELETE", "/tokens/another", None),
]


@pytest.mark.parametrize("limit", [{}, {"scopes": ["read", "run", "write"]}, {"dags": ["*"]}], ids=str)
async def test_a_token_of_an_admin_that_does_not_name_the_scope_admin_is_a_manager_s(
    people: People, admin: httpx.AsyncClient, limit: dict[str, list[str]]
) -> None:
    made = await make(admin, **limit)
    async with people.client(made["token"]) as program:
        for method, path, body in FRESH:
            answer = await program.request(method, path, json=body)
            assert code_of(answer) == (403, "forbidden"), (method, path)
        for path in ("/users", "/audit", "/tokens?all=true", "/sessions?all=true"):
            assert code_of(await program.get(path)) == (403, "forbidden"), path
        assert (await program.get("/dags")).status_code == 200
        assert (await program.get("/auth/me")).json()["user"]["role"] == ("viewer" if "dags" in limit else "manager")


async def test_what_is_for_a_fresh_login_is_refused_to_every_token_without_the_scope_admin(
    people: People, client: httpx.AsyncClient
) -> None:
    one, other = await make(client), await make(client, name="other")
    async with people.client(one["token"]) as program:
        answer = await program.delete(f"/tokens/{other['details']['id']}")
        assert code_of(answer) == (403, "forbidden")
        assert "it requires the scope admin" in answer.json()["message"]
        assert (await program.delete(f"/tokens/{one['details']['id']}")).status_code == 204  # `dagbook logout`
    assert [(await me(people, token["token"])).status_code for token in (one, other)] == [401, 200]


async def test_a_token_with_the_scope_admin_acts_as_one(people: People, admin: httpx.AsyncClient, name: str) -> None:
    made = await make(admin, scopes=["read", "run", "write", "admin"])
    assert made["details"]["role"] == "admin"
    async with people.client(made["token"]) as program:
        answer = await program.post("/users", json={"username": name, "password": PASSWORD, "role": "viewer"})
        assert answer.status_code == 201, answer.text
        assert (await program.get("/audit")).status_code == 200
        assert (await program.delete(f"/tokens/{made['details']['id']}")).status_code == 204


async def test_a_token_is_an_admin_s_only_with_the_scope_of_that_name(admin: httpx.AsyncClient) -> None:
    assert (await make(admin))["details"]["role"] == "manager"
    answer = await admin.post("/tokens", json={"name": "boss", "role": "admin"})
    assert code_of(answer) == (400, "bad_request")
    assert "name it in scopes" in answer.json()["message"]


async def test_a_token_of_before_that_names_no_scopes_is_a_manager_s_from_now_on(
    people: People, admin: httpx.AsyncClient
) -> None:
    made = await make(admin)
    before = update(Token).where(Token.id == made["details"]["id"]).values(role="admin")
    await people.server.services.runs.database.write(lambda connection: connection.execute(before))
    async with people.client(made["token"]) as program:
        answer = await program.get("/users")
        assert code_of(answer) == (403, "forbidden")
        assert "and a token that names the scope admin" in answer.json()["message"]


async def test_of_its_user_a_token_for_some_dags_reads_only_who_that_is(
    people: People, admin: httpx.AsyncClient
) -> None:
    other = await make(admin, name="other")
    made = await make(admin, dags=["etl-*"], scopes=["read", "run", "write", "admin"])
    change = {"currentPassword": PASSWORD, "newPassword": "another horse"}
    async with people.client(made["token"]) as program:
        for method, path, body in (
            ("GET", "/sessions", None),
            ("DELETE", "/sessions", None),
            ("DELETE", "/sessions/another", None),
            ("GET", "/tokens", None),
            ("POST", "/tokens", {"name": "more"}),
            ("DELETE", f"/tokens/{other['details']['id']}", None),
            ("DELETE", f"/tokens/{made['details']['id']}", None),
            ("POST", "/auth/change-password", change),
        ):
            answer = await program.request(method, path, json=body)
            assert code_of(answer) == (403, "forbidden"), (method, path)
            assert "this token is for single DAGs" in answer.json()["message"]
        assert (await program.get("/auth/me")).status_code == 200
    assert (await admin.get("/auth/me")).status_code == 200
    assert (await me(people, other["token"])).status_code == 200


# -- how many --------------------------------------------------------------------------------------------------------


async def age(people: People, person: Person, **ago: float) -> None:
    """Make all tokens of a user that much older."""
    older = update(Token).where(Token.user_id == person.id).values(created_at=now() - timedelta(**ago))
    await people.server.services.runs.database.write(lambda connection: connection.execute(older))


async def test_a_user_is_given_twenty_tokens_a_minute(people: People, client: httpx.AsyncClient, ann: Person) -> None:
    for number in range(20):
        made = await make(client, name=f"{number}")
        await client.delete(f"/tokens/{made['details']['id']}")
    answer = await client.post("/tokens", json={"name": "more"})
    assert code_of(answer) == (429, "forbidden")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    await age(people, ann, minutes=1)
    await make(client, name="more")


async def test_a_user_has_fifty_valid_tokens(people: People, client: httpx.AsyncClient, ann: Person) -> None:
    made = [await make(client, name="0")]
    for number in range(1, 50):
        await age(people, ann, hours=1)
        made.append(await make(client, name=f"{number}"))
    await age(people, ann, hours=1)
    answer = await client.post("/tokens", json={"name": "more"})
    assert code_of(answer) == (400, "bad_request")
    assert "has 50 valid tokens already; revoke one" in answer.json()["message"]
    assert (await client.delete(f"/tokens/{made[7]['details']['id']}")).status_code == 204
    await make(client, name="more")


@pytest.mark.both_engines
async def test_of_tokens_that_have_ended_the_newest_stay(
    people: People, client: httpx.AsyncClient, ann: Person
) -> None:
    for number in range(55):
        await age(people, ann, hours=1)
        end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        made = await make(client, name=f"{number}", dags=["etl-*"], expiresAt=end)
        await client.delete(f"/tokens/{made['details']['id']}")
    await age(people, ann, hours=1)
    await make(client, name="last")
    listed = (await client.get("/tokens")).json()["tokens"]
    assert len(listed) == 51
    stored = await people.server.services.runs.database.read(
        lambda connection: connection.scalar(select(func.count()).where(Token.user_id == ann.id))
    )
    assert stored == 51


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["*", "etl-*", "a"], ["*"]),
        (["etl-*", "etl-load", "etl-?", "pay"], ["etl-*", "pay"]),
        (["**", "*"], ["*"]),
        (["?", "a", "??"], ["?", "??"]),
        (["?*", "*?"], ["*?", "?*"]),
        (["e*", "*e", "e*e"], ["*e", "e*"]),
        (["a.b", "a-b", "a_b", "a?b"], ["a?b"]),
        (["?", "*"], ["*"]),
    ],
)
async def test_patterns_that_others_cover_are_dropped(
    client: httpx.AsyncClient, given: list[str], kept: list[str]
) -> None:
    assert (await make(client, dags=given))["details"]["dags"] == kept
    assert (await client.get("/tokens")).json()["tokens"][0]["dags"] == kept


@pytest.mark.both_engines
async def test_a_token_for_some_dags_makes_no_rows_for_their_names(
    people: People, admin: httpx.AsyncClient, name: str
) -> None:
    for dag in ("one", "two"):
        assert (await admin.post("/dags", json={"name": f"{name}-{dag}"})).status_code == 201
    made = await make(admin, dags=[f"{name}-o*", f"{name}-new"])
    async with people.client(made["token"]) as program:
        listed = (await program.get("/dags", params={"perPage": 1000})).json()["dags"]
        assert [one["dag"]["name"] for one in listed] == [f"{name}-one"]
        assert [(await program.get(f"/dags/{name}-{dag}")).status_code for dag in ("one", "two")] == [200, 404]
        assert (await program.post("/dags", json={"name": f"{name}-new"})).status_code == 201
        assert code_of(await program.post("/dags", json={"name": f"{name}-foreign"})) == (403, "forbidden")
    rows = await people.server.services.runs.database.read(
        lambda connection: connection.scalars(
            select(DagAccess.dag_name).where(DagAccess.dag_name.startswith(name))
        ).all()
    )
    assert rows == []
