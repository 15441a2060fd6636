"""The audit as admins read it; what is refused; and that an entry and its change are one commit."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select, update

from dagbook.accounts.ended_tokens import EndedTokenLog, TokenEnd
from dagbook.accounts.refusal_log import RefusalLog
from dagbook.auth.audit_context import ANONYMOUS, Action, Actor, dag_action
from dagbook.auth.roles import Role
from dagbook.auth.tokens import Claims, Signer
from dagbook.clock import now
from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import AuditEntry, Token
from dagbook.db.repositories import audit
from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.people import PASSWORD, SECRET, People, Person, code_of, serving_people
from tests.db.rows import NOW

Ended = Callable[[People, Person], Awaitable[str]]
SPEC = "steps: [{name: a, command: 'true'}]\n"


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.add(Role.ADMIN)


@pytest.fixture
async def client(people: People, admin: Person) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of the test's own, by whose name its entries are found."""
    async with people.client(admin.token) as made:
        yield made


async def entries(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/audit", params={name.rstrip("_"): value for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


async def store(client: httpx.AsyncClient, *names: str, spec: str = SPEC) -> None:
    for name in names:
        answer = await client.post("/dags", json={"name": name, "spec": spec})
        assert answer.status_code == 201, answer.text


async def test_a_save_that_changes_the_schedule_says_from_what_to_what(client: httpx.AsyncClient, name: str) -> None:
    specs = [f"schedule: {when}\n{SPEC}" for when in ("0 6 * * *", "{start: 0 5 * * *, stop: 0 7 * * *}")]
    await store(client, name, spec=specs[0])
    for spec in (specs[1], f"description: the same times\n{specs[1]}"):
        assert (await client.put(f"/dags/{name}/spec", json={"spec": spec})).status_code == 200
    found = await entries(client, object=name, action="dag.update")
    schedules = [(entry["before"].get("schedule"), entry["after"].get("schedule")) for entry in found]
    assert schedules == [(None, None), (["0 6 * * *"], ["0 5 * * *", "stop 0 7 * * *"])]


def actions(found: list[dict[str, Any]]) -> list[str]:
    return [entry["action"] for entry in found]


# -- what an entry says ------------------------------------------------------------------------------------------------


async def test_a_save_tells_revisions_and_hashes_before_and_after(client: httpx.AsyncClient, name: str) -> None:
    await store(client, name)
    await client.put(f"/dags/{name}/spec", json={"spec": SPEC + "# more\n"})
    saved, created = await entries(client, object=name)
    assert saved["before"] == created["after"]
    assert (saved["before"]["revision"], saved["after"]["revision"]) == (1, 2)
    assert saved["after"]["hash"] != saved["before"]["hash"]


async def test_going_back_tells_to_which_revision(client: httpx.AsyncClient, name: str) -> None:
    await store(client, name)
    await client.put(f"/dags/{name}/spec", json={"spec": SPEC + "# more\n"})
    await client.post(f"/dags/{name}/revisions/1/restore")
    (entry,) = await entries(client, object=name, action="dag.restore")
    assert (entry["after"]["restores"], entry["after"]["revision"]) == (1, 3)


async def test_renaming_suspending_and_deleting_tell_what_was(client: httpx.AsyncClient, name: str) -> None:
    await store(client, name)
    await client.post(f"/dags/{name}/suspend", json={"suspend": True})
    await client.post(f"/dags/{name}/rename", json={"newFileName": f"{name}-b"})
    await client.delete(f"/dags/{name}-b")
    renamed, suspended, _ = await entries(client, object=name)
    assert (suspended["before"], suspended["after"]) == ({"suspended": False}, {"suspended": True})
    assert renamed["after"] == {"fileName": f"{name}-b", "dagName": f"{name}-b"}
    (deleted,) = await entries(client, object=f"{name}-b")
    assert deleted["before"]["revision"] == 1


async def test_a_start_tells_what_was_started(client: httpx.AsyncClient, name: str) -> None:
    await store(client, name)
    await client.post(f"/dags/{name}/start", json={"dagRunId": "r1"})
    (entry,) = await entries(client, object=f"{name}/r1")
    assert {key: entry["after"][key] for key in ("trigger", "dag", "revision")} == {
        "trigger": "api",
        "dag": name,
        "revision": 1,
    }


async def test_what_is_said_twice_and_changes_nothing_is_no_entry(client: httpx.AsyncClient, name: str) -> None:
    await store(client, name)
    for _ in range(2):
        await client.post(f"/dags/{name}/suspend", json={"suspend": True})
    assert actions(await entries(client, object=name)) == ["dag.suspend", "dag.create"]


async def test_through_which_token_is_told(people: People, admin: Person, name: str) -> None:
    async with people.client(admin.token) as client:
        made = (await client.post("/tokens", json={"name": "ci"})).json()
        async with people.client(made["token"]) as with_token:
            await store(with_token, name)
        (entry,) = await entries(client, object=name)
    told = {key: entry[key] for key in ("actor", "via", "userId", "tokenId", "tokenName")}
    assert told == {
        "actor": admin.name,
        "via": "personal",
        "userId": admin.id,
        "tokenId": made["details"]["id"],
        "tokenName": "ci",
    }


async def test_in_which_request_is_told(client: httpx.AsyncClient, name: str) -> None:
    number = secrets.token_hex(8)
    spec = {"name": name, "spec": SPEC}
    await client.post("/dags", json=spec, headers={"X-Request-Id": number})
    await store(client, f"{name}-b")
    assert [entry["object"] for entry in await entries(client, requestId=number)] == [name]


async def test_runs_that_no_person_started_are_no_entries(client: httpx.AsyncClient, name: str) -> None:
    spec = f"steps: [{{name: go, call: {name}-low}}]\n---\nname: {name}-low\n{SPEC}"
    ended = await Dagbook(client, name).run(spec, dagRunId="r1")
    assert ended.status == "succeeded"
    found = await entries(client, action="run.", limit=1000)
    assert [entry["object"] for entry in found if entry["object"].startswith(name)] == [f"{name}/r1"]


# -- logins and refusals -----------------------------------------------------------------------------------------------


async def test_failed_logins_are_entries_without_an_actor(people: People, client: httpx.AsyncClient, name: str) -> None:
    async with people.client() as stranger:
        await stranger.post("/auth/login", json={"username": name, "password": "wrong guess"})
    (entry,) = await entries(client, object=name)
    assert (entry["action"], entry["outcome"], entry["address"]) == ("login.failure", "failed", "127.0.0.1")
    assert "actor" not in entry


async def test_a_guessed_name_is_stored_unless_no_user_can_have_it(
    people: People, client: httpx.AsyncClient, name: str
) -> None:
    async with people.client() as stranger:
        for guess in (f"{name}\0", name + "x" * 64):
            await stranger.post("/auth/login", json={"username": guess, "password": "wrong guess"})
    found = [one["object"] for one in await entries(client, action="login.failure") if one["object"].startswith(name)]
    assert found == [f"{name}\N{REPLACEMENT CHARACTER}"]


async def test_a_wrong_current_password_is_an_entry(client: httpx.AsyncClient, admin: Person) -> None:
    body = {"currentPassword": "wrong guess", "newPassword": "another horse"}
    await client.post("/auth/change-password", json=body)
    (entry,) = await entries(client, object=admin.name, action="user.password_change")
    assert (entry["actor"], entry["outcome"]) == (admin.name, "failed")


@pytest.mark.parametrize(
    ("method", "path", "action", "kind", "thing"),
    [
        ("POST", "/dags", "dag.create", "path", "/api/v2/dags"),
        ("DELETE", "/dags/etl", "dag.delete", "dag", "etl"),
        ("POST", "/dag-runs/etl/r1/stop", "run.stop", "run", "etl/r1"),
        ("DELETE", "/users/u1", "user.delete", "user", "u1"),
        ("GET", "/users", "request.refuse", "path", "/api/v2/users"),
        ("GET", "/audit", "request.refuse", "path", "/api/v2/audit"),
    ],
)
async def test_what_a_role_may_not_do_is_an_entry(  # noqa: PLR0913, PLR0917 - a table's columns
    people: People, client: httpx.AsyncClient, method: str, path: str, action: str, kind: str, thing: str
) -> None:
    viewer = await people.add(Role.VIEWER)
    async with people.client(viewer.token) as refused:
        assert (await refused.request(method, path)).status_code == 403
    (entry,) = await entries(client, actor=viewer.name, action=action)
    assert (entry["outcome"], entry["kind"], entry["object"]) == ("refused", kind, thing)


async def test_what_a_use_case_refuses_is_an_entry(client: httpx.AsyncClient, admin: Person) -> None:
    assert (await client.delete(f"/users/{admin.id}")).status_code == 403  # nobody removes oneself
    (entry,) = await entries(client, actor=admin.name, action="user.delete")
    assert (entry["outcome"], entry["object"]) == ("refused", admin.id)


async def test_whoever_is_refused_again_and_again_does_not_fill_the_disk(database: Database) -> None:
    seconds = 0.0
    refusals = RefusalLog(database, lambda: NOW, lambda: seconds, limit=3)
    audit_action = dag_action(Action.DAG_DELETE, "etl")
    for _ in range(10):
        await refusals.record(ANONYMOUS, audit_action)
    seconds = 61.0
    await refusals.record(ANONYMOUS, audit_action)
    rows = await database.read(lambda connection: connection.execute(select(AuditEntry.after)).scalars().all())
    assert rows == [None, None, None, {"leftOutBefore": 7}]


# -- tokens that were valid once ---------------------------------------------------------------------------------------


async def expired_login(people: People, ann: Person) -> str:
    claims = msgspec.structs.replace(claims_of(people, ann), iat=1_700_000_000, exp=1_700_000_001)
    return Signer(SECRET, 1).sign(claims)


async def login_before_a_change_of_password(people: People, ann: Person) -> str:
    async with people.client(ann.token) as client:
        second = await people.login(ann.name)
        body = {"currentPassword": PASSWORD, "newPassword": "another horse"}
        assert (await client.post("/auth/change-password", json=body)).status_code == 200
    return second


async def login_of_a_removed_user(people: People, ann: Person) -> str:
    async with people.client((await people.add(Role.ADMIN)).token) as client:
        assert (await client.delete(f"/users/{ann.id}")).status_code == 204
    return ann.token


async def login_that_logged_out(people: People, ann: Person) -> str:
    async with people.client(ann.token) as client:
        assert (await client.post("/auth/logout")).status_code == 200
    return ann.token


async def login_that_an_admin_ended(people: People, ann: Person) -> str:
    async with people.client((await people.add(Role.ADMIN)).token) as client:
        assert (await client.delete("/sessions", params={"username": ann.name})).json() == {"ended": 1}
    return ann.token


async def token_for_another_address(people: People, ann: Person) -> str:
    async with people.client(ann.token) as client:
        return str((await client.post("/tokens", json={"name": "ci", "addresses": ["192.0.2.1"]})).json()["token"])


async def revoked_token(people: People, ann: Person) -> str:
    async with people.client(ann.token) as client:
        made = (await client.post("/tokens", json={"name": "ci"})).json()
        assert (await client.delete(f"/tokens/{made['details']['id']}")).status_code == 204
    return str(made["token"])


async def expired_token(people: People, ann: Person) -> str:
    async with people.client(ann.token) as client:
        made = (await client.post("/tokens", json={"name": "ci", "expiresAt": "2999-01-01T00:00:00Z"})).json()
    ended = update(Token).where(Token.id == made["details"]["id"]).values(expires_at=now())
    await people.server.services.runs.database.write(lambda connection: connection.execute(ended))
    return str(made["token"])


def claims_of(people: People, person: Person) -> Claims:
    claims = Signer(SECRET, 1).read(person.token, people.server.services.runs.now())
    assert claims is not None
    return claims


@pytest.mark.parametrize(
    ("end", "via", "reason"),
    [
        (expired_login, "login", "expired"),
        (login_before_a_change_of_password, "login", "password changed"),
        (login_of_a_removed_user, "login", "user removed"),
        (login_that_logged_out, "login", "logged out"),
        (login_that_an_admin_ended, "login", "ended"),
        (token_for_another_address, "personal", "other address"),
        (revoked_token, "personal", "revoked"),
        (expired_token, "personal", "expired"),
    ],
)
async def test_a_token_that_was_valid_once_is_an_entry(
    database_url: str, tmp_path: Path, end: Ended, via: str, reason: str
) -> None:
    async with serving_people(database_url, tmp_path) as people:  # all users of a server share a budget
        ann = await people.add(Role.OPERATOR)
        token = await end(people, ann)
        async with people.client(token) as refused:
            for _ in range(10):
                assert (await refused.get("/dags")).status_code == 401
        async with people.client((await people.add(Role.ADMIN)).token) as client:
            found = await entries(client, action="token.refuse", object=ann.name)
    assert len(found) == 3  # it cannot fill the audit
    assert {key: found[0][key] for key in ("via", "userId", "kind", "outcome", "address")} == {
        "via": via,
        "userId": ann.id,
        "kind": "user",
        "outcome": "refused",
        "address": "127.0.0.1",
    }
    assert (found[0]["after"], "actor" in found[0]) == ({"reason": reason}, False)
    assert found[0].get("tokenName") == ("ci" if via == "personal" else None)


@pytest.mark.parametrize("token", ["dbk_unknown", "a.b.c", "x"])
async def test_a_token_of_nobody_is_no_entry(people: People, client: httpx.AsyncClient, token: str) -> None:
    before = await entries(client, action="token.refuse")
    async with people.client(token) as stranger:
        assert (await stranger.get("/dags")).status_code == 401
    assert await entries(client, action="token.refuse") == before


async def test_ended_tokens_have_a_budget_of_their_own(database: Database) -> None:
    seconds = 0.0
    log = EndedTokenLog(database, lambda: NOW, lambda: seconds)
    for user in range(30):
        for _ in range(5):
            await log.record(Actor(via="login", user_id=str(user)), f"user{user}", TokenEnd.EXPIRED)
    rows = await database.read(lambda connection: audit.find(connection, audit.AuditFilter(), 1000))
    assert len(rows) == 20  # of all users in a minute
    seconds = 901.0
    await log.record(Actor(via="login", user_id="0"), "user0", TokenEnd.EXPIRED)
    rows = await database.read(lambda connection: audit.find(connection, audit.AuditFilter(), 1))
    assert rows[0].after == {"reason": "expired", "leftOutOfUser": 2, "leftOutBefore": 70}


# -- reading -----------------------------------------------------------------------------------------------------------


async def test_pages_follow_each_other_without_gap_or_overlap(client: httpx.AsyncClient, admin: Person) -> None:
    names = [f"t{secrets.token_hex(6)}" for _ in range(5)]
    await store(client, *names)
    seen: list[str] = []
    query: dict[str, Any] = {"actor": admin.name, "action": "dag.", "limit": 2}
    while True:
        page = (await client.get("/audit", params=query)).json()
        seen += [entry["object"] for entry in page["entries"]]
        if "nextBefore" not in page:
            break
        query["before"] = page["nextBefore"]
    assert seen == names[::-1]


async def test_a_group_of_actions_is_asked_for_by_its_beginning(client: httpx.AsyncClient, admin: Person) -> None:
    name = f"t{secrets.token_hex(6)}"
    await store(client, name)
    await client.post(f"/dags/{name}/suspend", json={"suspend": True})
    await client.post("/tokens", json={"name": "ci"})
    assert actions(await entries(client, actor=admin.name, action="dag.")) == ["dag.suspend", "dag.create"]
    assert actions(await entries(client, actor=admin.name, action="dag.create")) == ["dag.create"]


async def test_times_narrow_the_list_to_what_was_between(client: httpx.AsyncClient, admin: Person) -> None:
    names = [f"t{secrets.token_hex(6)}" for _ in range(3)]
    await store(client, *names)
    times = [entry["at"] for entry in await entries(client, actor=admin.name, action="dag.create")]
    found = await entries(client, actor=admin.name, action="dag.create", from_=times[1], to=times[0])
    assert [entry["object"] for entry in found] == [names[1]]


async def test_how_far_the_audit_is_sealed_is_told(people: People, client: httpx.AsyncClient, name: str) -> None:
    await store(client, name)
    await people.server.audit_sealer.run_once()
    page = (await client.get("/audit", params={"limit": 1})).json()
    assert page["sealedUpTo"] >= page["entries"][0]["id"]
    assert (page["seal"]["number"] >= 1, len(page["seal"]["hash"])) == (True, 64)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"before": 0}, "before"),
        ({"before": 2**63}, "before"),
        ({"before": "x"}, "before"),
        ({"action": "dag"}, "action"),
        ({"action": "."}, "action"),
        ({"action": ""}, "action"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"to": "2026-01-01"}, "to"),
        ({"to": ""}, "to"),
        ({"actor": "a\0b"}, "actor"),
        ({"object": "\0"}, "object"),
        ({"requestId": "\0"}, "requestId"),
    ],
)
async def test_a_bad_filter_is_named(client: httpx.AsyncClient, query: dict[str, Any], field: str) -> None:
    answer = await client.get("/audit", params=query)
    assert code_of(answer) == (400, "bad_request")
    assert answer.json()["message"].startswith(f"{field}: ")


@pytest.mark.parametrize("before", ["soon", "2026-01-01", "2026-01-01T00:00:00", 7, None])
async def test_a_bad_time_to_prune_before_is_named(client: httpx.AsyncClient, before: Any) -> None:
    answer = await client.post("/audit/prune", json={"before": before})
    assert code_of(answer) == (400, "bad_request")
    assert "before" in answer.json()["message"]


async def test_without_users_whoever_is_let_in_reads_it(server: Server, name: str) -> None:
    async with client_of(server) as anybody:
        await store(anybody, name)
        (entry,) = await entries(anybody, object=name)
    assert (entry["via"], "actor" in entry) == ("none", False)


# -- the copy ----------------------------------------------------------------------------------------------------------


async def test_a_server_copies_its_audit(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "audit.copy"
    async with serving(database_url, tmp_path, audit_copy=str(path)) as server, client_of(server) as client:
        await store(client, "etl")
        health = (await client.get("/health")).json()
        assert "dagbook_audit_copy_up 1.0" in (await client.get("/metrics")).text
    assert "auditCopy" not in health
    assert [line.partition(":")[0] for line in path.read_text().splitlines()] == ['{"entry"', '{"seal"']


async def test_a_copy_that_fails_stops_nothing_and_is_told(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, audit_copy="/dev/full") as server, client_of(server) as client:
        await store(client, "etl")
        await server.audit_sealer.run_once()
        assert server.services.system.audit_copy is not None
        await server.services.system.audit_copy.run_once()
        answer = await client.get("/health")
        assert (answer.status_code, answer.json().get("auditCopy")) == (200, "failing")
        assert "dagbook_audit_copy_up 0.0" in (await client.get("/metrics")).text


# -- one commit --------------------------------------------------------------------------------------------------------


async def test_what_fails_leaves_no_entry_but_of_refused_starts(
    client: httpx.AsyncClient, admin: Person, name: str
) -> None:
    await store(client, name, f"{name}-b")
    before = await entries(client, actor=admin.name)
    run = {"spec": SPEC, "name": name, "dagRunId": "r1"}
    await client.post("/dag-runs", json=run)
    for method, path, body in (
        ("POST", "/dags", {"name": name}),
        ("POST", "/dags", {"name": "a/b"}),
        ("PUT", f"/dags/{name}/spec", {"spec": "steps: 7"}),
        ("PUT", f"/dags/{name}-c/spec", {"spec": SPEC}),
        ("POST", f"/dags/{name}/rename", {"newFileName": f"{name}-b"}),
        ("DELETE", f"/dags/{name}-c", None),
        ("POST", f"/dags/{name}-c/suspend", {"suspend": True}),
        ("POST", "/dag-runs", run),
        ("POST", "/dag-runs", {"spec": "steps: 7", "name": name}),
        ("POST", f"/dag-runs/{name}/r9/stop", None),
        ("POST", f"/dag-runs/{name}/r9/retry", {"dagRunId": "r9"}),
        ("PATCH", f"/dag-runs/{name}/r1/steps/z/status", {"status": 2}),
        ("POST", "/users", {"username": admin.name, "password": PASSWORD, "role": "viewer"}),
        ("POST", "/users", {"username": "x", "password": "short", "role": "viewer"}),
    ):
        await client.request(method, path, json=body)
    after = await entries(client, actor=admin.name)
    done = [entry for entry in after if entry["outcome"] == "done"]
    refused = [entry for entry in after if entry["outcome"] == "refused"]
    assert actions(done) == ["run.start", *actions(before)]
    assert actions(refused) == ["run.retry", "run.start", "run.start"]


@pytest.fixture
async def mute(database_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server whose database takes no entry of the audit."""
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        await store(client, "etl")
        await server.services.runs.database.write(_refuse_entries)
        yield client


def _refuse_entries(connection: WriteConnection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE audit ADD CONSTRAINT mute CHECK (id < 0) NOT VALID")
        return
    refuse = "BEGIN SELECT RAISE(ABORT, 'mute'); END"
    connection.exec_driver_sql(f"CREATE TRIGGER mute BEFORE INSERT ON audit {refuse}")


async def test_what_cannot_be_noted_is_not_done(mute: httpx.AsyncClient) -> None:
    for method, path, body in (
        ("POST", "/dags", {"name": "other"}),
        ("PUT", "/dags/etl/spec", {"spec": SPEC + "# more\n"}),
        ("POST", "/dags/etl/rename", {"newFileName": "other"}),
        ("POST", "/dags/etl/suspend", {"suspend": True}),
        ("DELETE", "/dags/etl", None),
        ("POST", "/dags/etl/start", {"dagRunId": "r1"}),
        ("POST", "/dags/etl/enqueue", {"dagRunId": "r1"}),
    ):
        assert (await mute.request(method, path, json=body)).is_error, path
    assert (await mute.get("/dag-runs/etl/r1")).status_code == 404
    assert (await mute.get("/dags/other")).status_code == 404
    found = (await mute.get("/dags/etl")).json()
    assert (found["suspended"], found["dag"]["name"]) == (False, "etl")
    assert len((await mute.get("/dags/etl/revisions")).json()["revisions"]) == 1


# -- secrets -----------------------------------------------------------------------------------------------------------


async def test_no_secret_gets_into_the_audit(
    people: People, client: httpx.AsyncClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_AUDIT", "kept-to-itself")
    spec = (
        "secrets: [{name: S, provider: env, key: SECRET_OF_AUDIT}]\nenv: [PLAIN: text-of-a-definition]\n"
        f"params: P=default\n{SPEC}"
    )
    await store(client, name, spec=spec)
    run = {"params": "P=kept-to-itself", "dagRunId": "r1"}
    assert (await client.post(f"/dags/{name}/start", json=run)).status_code == 200
    user = {"username": name, "password": "password-of-a-user", "role": "viewer"}
    await client.post("/users", json=user)
    token = (await client.post("/tokens", json={"name": "ci", "username": name})).json()["token"]
    login = {"username": name, "password": "guess-of-a-password"}
    await client.post("/auth/login", json=login)
    logged_in = await people.login(name, "password-of-a-user")
    stored = await people.server.services.runs.database.read(
        lambda connection: [tuple(row) for row in connection.execute(select(AuditEntry.__table__)).all()]
    )
    whole = msgspec.json.encode(stored).decode()
    assert name in whole
    hidden = ("kept-to-itself", "text-of-a-definition", "password-of", "guess-of", token, logged_in, "$2b$")
    assert [word for word in hidden if word in whole] == []
