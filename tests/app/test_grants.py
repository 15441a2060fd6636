"""Rights per DAG: who is granted what sees that and nothing else, and may do what the grants say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dagbook.auth.roles import Role
from tests.app.listening import Door, listening
from tests.app.people import People, Person, code_of, serving_people
from tests.conftest import Copies

STEPS = "steps:\n  - echo one\n"
NOT_FOUND = (404, "not_found")
FORBIDDEN = (403, "forbidden")


class World(msgspec.Struct, frozen=True):
    """A server with four DAGs whose names begin with a key, an admin, and a user for whom only grants count."""

    people: People
    admin: httpx.AsyncClient
    user: httpx.AsyncClient
    person: Person
    key: str

    async def grant(self, role: str, *, pattern: str = "", tag: str = "", group: str = "") -> str:
        """Grant the user or a group a role for the DAGs of this world with a name or tag; returns the grant's id."""
        subject = {"groupId": group} if group else {"userId": self.person.id}
        of_world = {"pattern": pattern and f"{self.key}-{pattern}", "tag": tag and f"{self.key}-{tag}"}
        answer = await self.admin.post("/grants", json={"role": role, **of_world, **subject})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def names(self, client: httpx.AsyncClient | None = None) -> list[str]:
        """Return the names that are listed, without the key."""
        listed = (await (client or self.user).get("/dags", params={"perPage": 1000})).json()["dags"]
        return [self.bare(dag["dag"]["name"]) for dag in listed]

    def bare(self, name: str) -> str:
        return name.removeprefix(f"{self.key}-")

    async def run(self, name: str, **body: Any) -> str:
        """Enqueue a run of a DAG as the admin in a paused queue, and return its path."""
        queue = body.get("queue", f"{self.key}-{name}")
        assert (await self.admin.post(f"/queues/{queue}/pause")).status_code == 200
        answer = await self.admin.post(f"/dags/{self.key}-{name}/enqueue", json=body)
        assert answer.status_code == 200, answer.text
        return f"/dag-runs/{self.key}-{name}/{answer.json()['dagRunId']}"


@asynccontextmanager
async def making(people: People, name: str) -> AsyncIterator[World]:
    boss, person = await people.add(Role.ADMIN), await people.add(Role.MANAGER)
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(people.client(boss.token))
        user = await stack.enter_async_context(people.client(person.token))
        for dag, head in {
            "etl-load": f"tags: {name}-etl, {name}-nightly\n",
            "etl-clean": f"tags: {name}-etl\nschedule: '0 4 * * *'\n",
            "pay-slips": f"tags: {name}-pay\nschedule: '0 5 * * *'\n",
            "filed": f"name: {name}-pay-named\n",
        }.items():
            answer = await admin.post("/dags", json={"name": f"{name}-{dag}", "spec": head + STEPS})
            assert answer.status_code == 201, answer.text
        answer = await admin.patch(f"/users/{person.id}", json={"scope": "granted"})
        assert answer.json()["user"]["scope"] == "granted"
        yield World(people, admin, user, person, name)


@pytest.fixture
async def world(people: People, name: str) -> AsyncIterator[World]:
    async with making(people, name) as made:
        yield made


# -- what is seen ------------------------------------------------------------------------------------------------------


@pytest.mark.always
async def test_without_a_grant_a_dag_is_missing_like_one_that_does_not_exist(world: World) -> None:
    assert await world.names() == []
    hidden, missing = f"{world.key}-etl-load", f"{world.key}-no-such"
    for path in ("/dags/{}", "/dags/{}/spec", "/dags/{}/dag-runs", "/dag-runs/{}", "/dag-runs/{}/latest"):
        answers = [await world.user.get(path.format(name)) for name in (hidden, missing)]
        assert [code_of(answer) for answer in answers] == [NOT_FOUND, NOT_FOUND], path
        assert answers[0].text.replace(hidden, missing) == answers[1].text, path


async def test_a_grant_by_name_pattern_or_tag_counts_from_the_next_request_on(world: World) -> None:
    grant = await world.grant("viewer", pattern="pay-*")
    assert await world.names() == ["pay-named", "pay-slips"]
    assert (await world.user.get(f"/dags/{world.key}-filed")).status_code == 200
    await world.grant("viewer", tag="Nightly")
    assert await world.names() == ["etl-load", "pay-named", "pay-slips"]
    assert (await world.admin.delete(f"/grants/{grant}")).status_code == 204
    assert await world.names() == ["etl-load"]


async def test_a_new_dag_a_new_tag_and_a_new_name_are_covered_at_once(world: World) -> None:
    await world.grant("viewer", tag="etl")
    await world.grant("viewer", pattern="new-?")
    path = f"/dags/{world.key}-pay-slips"
    for text, expected in ((f"tags: {world.key}-etl\n", True), ("", False), (f"name: {world.key}-new-1\n", True)):
        assert (await world.admin.put(f"{path}/spec", json={"spec": text + STEPS})).status_code == 200
        assert ((await world.user.get(path)).status_code == 200) is expected, text
    assert (await world.admin.post("/dags", json={"name": f"{world.key}-new-2"})).status_code == 201
    assert "new-2" in await world.names()
    assert (await world.admin.delete(f"/dags/{world.key}-new-2")).status_code == 204
    assert "new-2" not in await world.names()


async def test_runs_are_seen_by_the_name_of_their_root(world: World) -> None:
    seen, hidden = await world.run("etl-load"), await world.run("pay-slips")
    await world.grant("viewer", pattern="etl-*")
    listed = (await world.user.get("/dag-runs", params={"name": world.key})).json()["dagRuns"]
    assert [world.bare(run["name"]) for run in listed] == ["etl-load"]
    assert (await world.user.get(seen)).status_code == 200
    assert code_of(await world.user.get(hidden)) == NOT_FOUND
    assert code_of(await world.user.get(f"{hidden}/log")) == NOT_FOUND


async def test_the_overview_counts_what_is_seen_alone(world: World) -> None:
    for name in ("etl-load", "pay-slips"):
        await world.run(name)
    query = {"range": "24h"}
    nothing = (await world.user.get("/overview", params=query)).json()
    assert [bar for bar in nothing["bars"] if bar["counts"]] == nothing["queues"] == nothing["failures"] == []
    await world.grant("viewer", pattern="etl-*")
    found = (await world.user.get("/overview", params=query)).json()
    assert [one["count"] for bar in found["bars"] for one in bar["counts"]] == [1]
    assert [world.bare(queue["name"]) for queue in found["queues"]] == ["etl-load"]
    assert not {"disk", "dags", "sources"} & found.keys()


async def test_short_pages_have_the_runs_that_are_seen_in_order(world: World) -> None:
    await world.grant("viewer", pattern="etl-*")
    for name in ("etl-load", "pay-slips", "etl-clean", "pay-slips", "pay-slips", "etl-load"):
        await world.run(name)
    found: list[str] = []
    query = {"limit": "1"}
    while query:
        answer = (await world.user.get("/dag-runs", params=query)).json()
        found += [f"{world.bare(run['name'])} {run['dagRunId']}" for run in answer["dagRuns"]]
        query = {"limit": "1", "cursor": answer["nextCursor"]} if "nextCursor" in answer else {}
    listed = (await world.user.get("/dag-runs")).json()["dagRuns"]
    assert found == [f"{world.bare(run['name'])} {run['dagRunId']}" for run in listed]
    assert [one.partition(" ")[0] for one in found] == ["etl-load", "etl-clean", "etl-load"]


async def test_runs_of_texts_that_are_not_stored_are_covered_by_their_names(world: World) -> None:
    await world.grant("viewer", pattern="inline-*")
    for name in ("inline-a", "other-a"):
        body = {"name": f"{world.key}-{name}", "spec": STEPS}
        assert (await world.admin.post("/dag-runs/enqueue", json=body)).status_code == 200
    listed = (await world.user.get("/dag-runs", params={"name": world.key})).json()["dagRuns"]
    assert [world.bare(run["name"]) for run in listed] == ["inline-a"]
    assert (await world.user.get(f"/dags/{world.key}-inline-a/dag-runs")).status_code == 200


async def test_tags_search_schedules_and_queues_show_nothing_else(world: World) -> None:
    await world.grant("viewer", pattern="etl-*")
    await world.run("etl-load"), await world.run("pay-slips")
    tags = (await world.user.get("/dags/tags")).json()["tags"]
    assert sorted(map(world.bare, tags)) == ["etl", "nightly"]
    found = (await world.user.get("/dags/search", params={"q": world.key})).json()["results"]
    assert sorted(world.bare(one["name"]) for one in found) == ["etl-clean", "etl-load"]
    upcoming = (await world.user.get("/schedules/upcoming", params={"perDag": 1})).json()["upcoming"]
    assert [world.bare(one["dagName"]) for one in upcoming] == ["etl-clean"]
    queues = (await world.user.get("/queues")).json()
    assert [world.bare(queue["name"]) for queue in queues["queues"]] == ["etl-load"]
    assert code_of(await world.user.get(f"/queues/{world.key}-pay-slips/items")) == NOT_FOUND
    assert (await world.user.get("/schedules/slots", params={"dag": f"{world.key}-etl-clean"})).status_code == 200
    hidden = await world.user.get("/schedules/slots", params={"dag": f"{world.key}-pay-slips"})
    assert code_of(hidden) == NOT_FOUND


async def test_a_search_shows_nothing_else_and_no_users(world: World) -> None:
    await world.grant("viewer", pattern="etl-*")
    await world.run("etl-load"), await world.run("pay-slips")
    for client, seen in ((world.user, ["etl-load"]), (world.admin, ["etl-load", "pay-slips"])):
        found = (await client.get("/search", params={"q": world.key})).json()
        assert {world.bare(dag["name"]) for dag in found["dags"]} >= set(seen)
        assert ("pay-slips" in {world.bare(dag["name"]) for dag in found["dags"]}) is (client is world.admin)
        runs = (await client.get("/dag-runs", params={"name": world.key})).json()["dagRuns"]
        ids = [(await client.get("/search", params={"q": run["dagRunId"]})).json()["runs"] for run in runs]
        assert sorted(world.bare(run["name"]) for (run,) in ids) == seen
    assert (await world.user.get("/search", params={"q": world.person.name})).json()["users"] == []
    (user,) = (await world.admin.get("/search", params={"q": world.person.name})).json()["users"]
    assert user == {"id": world.person.id, "username": world.person.name, "role": user["role"]}


async def test_what_is_about_all_dags_is_closed(world: World) -> None:
    await world.grant("manager", pattern="*")
    for path in ("/audit", "/users", "/doctor", "/grants", f"/users/{world.person.id}/access"):
        assert code_of(await world.user.get(path)) == FORBIDDEN, path
    assert code_of(await world.user.post("/dag-runs", json={"spec": STEPS})) == FORBIDDEN
    assert code_of(await world.user.post(f"/queues/{world.key}-etl-load/pause")) == FORBIDDEN
    assert code_of(await world.user.get("/metrics")) == FORBIDDEN
    assert code_of(await world.user.get("/dags", params={"remoteNode": "other"})) == FORBIDDEN
    assert code_of(await world.user.get("/retention/preview")) == (400, "bad_request")
    entries = (await world.admin.get("/audit", params={"actor": world.person.name})).json()["entries"]
    assert ("run.start", "refused") in [(entry["action"], entry["outcome"]) for entry in entries]


# -- what is done ------------------------------------------------------------------------------------------------------


async def test_the_highest_role_that_applies_counts_and_the_response_names_it(world: World) -> None:
    await world.grant("viewer", pattern="etl-*")
    path = f"/dags/{world.key}-etl-load"
    assert (await world.user.get(path)).headers["x-dagbook-role"] == "viewer"
    assert code_of(await world.user.post(f"{path}/enqueue", json={})) == FORBIDDEN
    await world.grant("operator", tag="nightly")
    assert (await world.user.get(path)).headers["x-dagbook-role"] == "operator"
    assert (await world.user.post(f"{path}/enqueue", json={})).status_code == 200
    assert code_of(await world.user.put(f"{path}/spec", json={"spec": STEPS})) == FORBIDDEN
    assert code_of(await world.user.post(f"/dags/{world.key}-etl-clean/enqueue", json={})) == FORBIDDEN


async def test_rows_of_lists_tell_what_the_caller_may_do(world: World) -> None:
    for role, pattern in (("viewer", "*"), ("operator", "etl-*"), ("manager", "etl-clean")):
        await world.grant(role, pattern=pattern)

    async def rights(client: httpx.AsyncClient) -> dict[str, tuple[bool, bool]]:
        listed = (await client.get("/dags", params={"perPage": 1000})).json()["dags"]
        mine = [dag for dag in listed if dag["dag"]["name"].startswith(world.key)]
        return {world.bare(dag["dag"]["name"]): (dag["mayStart"], dag["mayEdit"]) for dag in mine}

    found = await rights(world.user)
    assert (found["etl-clean"], found["etl-load"], found["pay-slips"]) == ((True, True), (True, False), (False, False))
    assert set((await rights(world.admin)).values()) == {(True, True)}
    for name in ("etl-load", "pay-slips"):
        await world.run(name)
    runs = (await world.user.get("/dag-runs", params={"name": world.key})).json()["dagRuns"]
    assert {world.bare(run["name"]): run["mayStart"] for run in runs} == {"etl-load": True, "pay-slips": False}
    queues = (await world.user.get("/queues")).json()["queues"]
    mine = [run for queue in queues for run in queue["queued"] if run["name"].startswith(world.key)]
    assert {world.bare(run["name"]): run["mayStart"] for run in mine} == {"etl-load": True, "pay-slips": False}


async def test_a_browser_is_told_whether_its_user_may_create_dags(world: World) -> None:
    async def may_create() -> bool:
        async with world.people.client(await world.people.browse(world.person.name)) as client:
            return bool((await client.get("/auth/session")).json()["mayCreate"])

    assert not await may_create()
    await world.grant("manager", tag="nightly")
    assert not await may_create()
    await world.grant("manager", pattern="etl-*")
    assert await may_create()


async def test_the_role_of_the_contract_is_only_shown(world: World) -> None:
    assert (await world.user.get("/auth/me")).json()["user"]["role"] == "viewer"
    shown = (await world.admin.get(f"/users/{world.person.id}")).json()["user"]
    assert (shown["role"], shown["scope"]) == ("manager", "granted")


async def test_a_start_cannot_take_the_name_of_another_dag(world: World) -> None:
    await world.grant("operator", pattern="etl-*")
    path = f"/dags/{world.key}-etl-load/enqueue"
    answer = await world.user.post(path, json={"dagName": f"{world.key}-pay-slips"})
    assert code_of(answer) == FORBIDDEN
    assert "dagName" in answer.text
    assert (await world.user.post(path, json={"dagName": f"{world.key}-etl-clean"})).status_code == 200


async def test_a_manager_creates_only_names_that_a_pattern_covers(world: World) -> None:
    await world.grant("manager", pattern="new-*")
    await world.grant("manager", tag="etl")
    spec = f"tags: {world.key}-etl\n{STEPS}"
    assert (await world.user.post("/dags", json={"name": f"{world.key}-new-1", "spec": spec})).status_code == 201
    by_tag = await world.user.post("/dags", json={"name": f"{world.key}-by-tag", "spec": spec})
    assert code_of(by_tag) == FORBIDDEN
    named = f"name: {world.key}-pay-slips\n{STEPS}"
    assert code_of(await world.user.post("/dags", json={"name": f"{world.key}-new-2", "spec": named})) == FORBIDDEN


async def test_a_manager_cannot_change_which_grants_cover_a_dag(world: World) -> None:
    await world.grant("manager", pattern="etl-*")
    await world.grant("viewer", tag="pay")
    path = f"/dags/{world.key}-etl-clean"
    tagged = await world.user.put(f"{path}/spec", json={"spec": f"tags: {world.key}-pay, free\n{STEPS}"})
    assert code_of(tagged) == FORBIDDEN
    assert f"tags: {world.key}-pay:" in tagged.json()["message"]
    named = await world.user.put(f"{path}/spec", json={"spec": f"name: {world.key}-pay-own\n{STEPS}"})
    assert (code_of(named), "name" in named.text) == (FORBIDDEN, True)
    assert (await world.user.get(f"{path}/spec")).headers["etag"] == '"1"', "nothing was saved"
    renamed = await world.user.post(f"{path}/rename", json={"newFileName": f"{world.key}-pay-own"})
    assert code_of(renamed) == FORBIDDEN
    free = await world.user.put(f"{path}/spec", json={"spec": f"tags: free, more\n{STEPS}"})
    assert free.status_code == 200, free.text
    inside = await world.user.post(f"{path}/rename", json={"newFileName": f"{world.key}-etl-renamed"})
    assert inside.status_code == 200, inside.text


async def test_another_run_is_what_a_queue_waits_for(world: World) -> None:
    await world.grant("viewer", pattern="etl-*")
    body = {"queue": f"{world.key}-shared"}
    await world.run("pay-slips", **body)
    path = await world.run("etl-load", **body)
    waiting = (await world.user.get(path)).json()["dagRunDetails"]["waitingFor"]
    assert "pay-slips" not in str(waiting)
    assert waiting["position"] == 2
    items = (await world.user.get(f"/queues/{world.key}-shared/items")).json()
    assert [(world.bare(run["name"]), run["waitingFor"]["position"]) for run in items["items"]] == [("etl-load", 2)]
    assert items["pagination"]["totalRecords"] == 1


@asynccontextmanager
async def seeing_etl(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[tuple[World, Door, dict[str, str]]]:
    """Serve a world whose feed ends with the test, to a viewer of ``etl-*``; gives the headers of that viewer too."""
    async with (
        serving_people(database_url, tmp_path) as people,
        making(people, name) as world,
        listening(people.server) as door,
    ):
        await world.grant("viewer", pattern="etl-*")
        yield world, door, {"Authorization": f"Bearer {world.person.token}"}


async def test_the_live_feed_tells_of_nothing_else(database_url: str, tmp_path: Path, name: str) -> None:
    async with seeing_etl(database_url, tmp_path, name) as (world, door, bearer):
        async with door.listen(headers=bearer) as listener:
            before = listener.id
            await world.run("pay-slips")
            await world.run("etl-load")
            await listener.until(lambda event: event.data.get("name") == f"{world.key}-etl-load")
        async with door.listen(headers=bearer, after=before) as again:
            await again.until(lambda event: event.data.get("name") == f"{world.key}-etl-load")
        assert "pay-slips" not in str([*listener.seen, *again.seen])
        hidden = await world.user.get("/events", params={"run": f"{world.key}-pay-slips/r1"})
        assert code_of(hidden) == NOT_FOUND


async def test_the_live_feed_tells_the_old_name_of_a_dag_only_to_who_saw_it(
    database_url: str, tmp_path: Path, name: str
) -> None:
    async with seeing_etl(database_url, tmp_path, name) as (world, door, bearer):
        async with door.listen(headers=bearer) as listener:
            before = listener.id
            for old, new in (("pay-slips", "etl-pay"), ("etl-load", "etl-last")):
                body = {"newFileName": f"{world.key}-{new}"}
                assert (await world.admin.post(f"/dags/{world.key}-{old}/rename", json=body)).is_success
            await listener.until(lambda event: event.data.get("name") == f"{world.key}-etl-last")
        async with door.listen(headers=bearer, after=before) as again:
            await again.until(lambda event: event.data.get("name") == f"{world.key}-etl-last")
        for seen in (listener.seen, again.seen):
            changes = [event.data for event in seen if event.data.get("what") == "renamed"]
            named = [(world.bare(one["fileName"]), world.bare(one["newFileName"])) for one in changes]
            assert named == [("", "etl-pay"), ("etl-load", "etl-last")]


async def test_the_live_feed_has_no_output_of_others(database_url: str, tmp_path: Path) -> None:
    async with seeing_etl(database_url, tmp_path, "output") as (world, door, bearer):
        boss = {"Authorization": world.admin.headers["Authorization"]}
        names = [f"{world.key}-{name}" for name in ("pay-slips", "etl-load")]
        query = "&".join(f"output={name}/r1" for name in names)
        go = tmp_path / "go"
        spec = f'steps: [{{name: a, command: "echo one; while [ ! -e {go} ]; do sleep 0.02; done"}}]\n'
        async with door.listen(f"?{query}", headers=bearer) as user, door.listen(f"?{query}", headers=boss) as admin:
            for name in names:
                await world.admin.put(f"/dags/{name}/spec", json={"spec": spec})
                await world.admin.post(f"/dags/{name}/start", json={"dagRunId": "r1"})
            await admin.until(lambda _: {event.data["name"] for event in admin.seen if event.kind == "log"} == {*names})
            await user.until(lambda event: event.kind == "log")
            go.touch()
            await user.until(lambda event: event.data.get("statusLabel") == "succeeded")
        assert {event.data["name"] for event in user.seen if event.kind == "log"} == {names[1]}


# -- groups ------------------------------------------------------------------------------------------------------------


async def test_members_of_a_group_have_its_grants(world: World) -> None:
    group = (await world.admin.post("/groups", json={"name": f"{world.key} team"})).json()
    await world.grant("operator", pattern="etl-load", group=group["id"])
    assert await world.names() == []
    member = f"/groups/{group['id']}/members/{world.person.id}"
    assert (await world.admin.put(member)).status_code == 204
    assert await world.names() == ["etl-load"]
    shown = (await world.admin.get(f"/groups/{group['id']}")).json()
    assert [one["username"] for one in shown["members"]] == [world.person.name]
    assert shown["group"]["members"] == 1
    assert (await world.admin.delete(member)).status_code == 204
    assert await world.names() == []


async def test_a_group_goes_with_its_grants(world: World) -> None:
    group = (await world.admin.post("/groups", json={"name": f"{world.key} gone"})).json()["id"]
    await world.admin.put(f"/groups/{group}/members/{world.person.id}")
    grant = await world.grant("viewer", pattern="*", group=group)
    assert len(await world.names()) == 4
    assert (await world.admin.delete(f"/groups/{group}")).status_code == 204
    assert await world.names() == []
    assert grant not in (await world.admin.get("/grants")).text


# -- what admins see ---------------------------------------------------------------------------------------------------


async def test_an_admin_sees_what_a_user_would_see(world: World) -> None:
    await world.grant("viewer", pattern="etl-*")
    await world.grant("manager", tag="nightly")
    view = (await world.admin.get(f"/users/{world.person.id}/access", params={"name": "etl"})).json()
    assert [(world.bare(dag["name"]), dag["role"]) for dag in view["dags"]] == [
        ("etl-clean", "viewer"),
        ("etl-load", "manager"),
    ]
    page = {"perPage": 1, "page": 1}
    assert (await world.admin.get(f"/users/{world.person.id}/access", params=page)).json()["more"] is True


async def test_an_admin_sees_who_may_do_what_with_a_dag(world: World) -> None:
    await world.grant("viewer", pattern="pay-*")
    await world.grant("operator", tag="etl")
    found = (await world.admin.get(f"/dags/{world.key}-pay-slips/access")).json()
    assert [(grant["username"], grant["role"]) for grant in found["grants"]] == [(world.person.name, "viewer")]
    assert world.person.name not in [user["username"] for user in found["everywhere"]]
    assert code_of(await world.admin.get("/dags/no-such/access")) == NOT_FOUND


async def test_changes_of_groups_and_grants_are_in_the_audit(world: World) -> None:
    name = f"{world.key} audited"
    group = (await world.admin.post("/groups", json={"name": name})).json()["id"]
    await world.admin.put(f"/groups/{group}", json={"name": name, "claim": "groups=ops"})
    await world.admin.put(f"/groups/{group}/members/{world.person.id}")
    grant = await world.grant("viewer", pattern="etl-*", group=group)
    await world.admin.patch(f"/grants/{grant}", json={"role": "operator"})
    await world.admin.delete(f"/grants/{grant}")
    await world.admin.delete(f"/groups/{group}/members/{world.person.id}")
    await world.admin.delete(f"/groups/{group}")
    entries = (await world.admin.get("/audit", params={"limit": 20})).json()["entries"]
    about = [entry["action"] for entry in entries if name in str(entry)]
    assert about == [
        "group.delete",
        "group.leave",
        "grant.delete",
        "grant.update",
        "grant.create",
        "group.join",
        "group.update",
        "group.create",
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "admin", "pattern": "*"}, "role"),
        ({"role": "viewer"}, "pattern"),
        ({"role": "viewer", "pattern": "*", "tag": "x"}, "pattern"),
        ({"role": "viewer", "pattern": "a b"}, "pattern"),
        ({"role": "viewer", "pattern": "[ab]"}, "pattern"),
        ({"role": "viewer", "pattern": "*" * 65}, "pattern"),
        ({"role": "viewer", "tag": "  "}, "tag"),
    ],
)
async def test_a_wrong_grant_is_refused_with_its_field(world: World, body: dict[str, str], field: str) -> None:
    answer = await world.admin.post("/grants", json={"userId": world.person.id, **body})
    assert code_of(answer) == (400, "bad_request")
    assert field in answer.json()["message"]


async def test_a_grant_has_one_subject_and_is_made_once(world: World) -> None:
    await world.grant("viewer", pattern="etl-*")
    again = {"role": "operator", "pattern": f"{world.key}-etl-*", "userId": world.person.id}
    assert code_of(await world.admin.post("/grants", json=again)) == (409, "already_exists")
    for subject in ({}, {"userId": world.person.id, "groupId": "x"}):
        answer = await world.admin.post("/grants", json={"role": "viewer", "pattern": "x", **subject})
        assert (code_of(answer), "userId" in answer.text) == ((400, "bad_request"), True)
    unknown = {"role": "viewer", "pattern": "x", "userId": "no-such"}
    assert code_of(await world.admin.post("/grants", json=unknown)) == NOT_FOUND


# -- tokens ------------------------------------------------------------------------------------------------------------


async def test_a_token_may_be_limited_to_patterns_of_dag_names(world: World) -> None:
    await world.grant("operator", pattern="etl-*")
    body = {"name": "ci", "dags": [f"{world.key}-etl-load", f"{world.key}-pay-*"]}
    made = (await world.user.post("/tokens", json=body)).json()
    assert made["details"]["dags"] == body["dags"]
    async with world.people.client(made["token"]) as limited:
        assert await world.names(limited) == ["etl-load"], "what both the grants and the token allow"
        assert (await limited.post(f"/dags/{world.key}-etl-load/enqueue", json={})).status_code == 200
        assert code_of(await limited.get(f"/dags/{world.key}-etl-clean")) == NOT_FOUND


async def test_a_limited_token_of_a_user_who_sees_everything_has_the_lower_role(world: World) -> None:
    body = {"name": f"{world.key} ci", "dags": [f"{world.key}-etl-*"], "scopes": ["read", "run"]}
    made = (await world.admin.post("/tokens", json=body)).json()
    async with world.people.client(made["token"]) as limited:
        assert await world.names(limited) == ["etl-clean", "etl-load"]
        path = f"/dags/{world.key}-etl-load"
        assert (await limited.post(f"{path}/enqueue", json={})).status_code == 200
        assert code_of(await limited.put(f"{path}/spec", json={"spec": STEPS})) == FORBIDDEN
        assert code_of(await limited.post("/dag-runs", json={"spec": STEPS})) == FORBIDDEN
    wrong = await world.admin.post("/tokens", json={"name": "x", "dags": ["no pattern"]})
    assert (code_of(wrong), "dags" in wrong.text) == ((400, "bad_request"), True)


async def test_the_last_admin_cannot_be_limited_to_grants(copies: Copies, tmp_path: Path) -> None:
    async for url in copies.copy():
        async with serving_people(url, tmp_path) as people:
            boss = await people.add(Role.ADMIN)
            async with people.client(boss.token) as admin:
                answer = await admin.patch(f"/users/{boss.id}", json={"scope": "granted"})
                assert (code_of(answer), "last admin" in answer.text) == (FORBIDDEN, True)


# -- queues ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def with_queues(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    """A server with the configured queue ``shared``."""
    async for url in copies.copy():
        async with serving_people(url, tmp_path_factory.mktemp("home"), queues="shared=2") as opened:
            yield opened


async def test_an_operator_by_grant_names_no_queue_but_those_of_the_dag(with_queues: People, name: str) -> None:
    async with making(with_queues, name) as world:
        await world.grant("operator", pattern="etl-*")
        dag = f"{name}-etl-load"
        spec = f"queue: shared\n{STEPS}"
        assert (await world.admin.put(f"/dags/{dag}/spec", json={"spec": spec})).status_code == 200
        for queue in ("shared", dag):
            assert (await world.admin.post(f"/queues/{queue}/pause")).status_code == 200
        for queue in (f"{name}-pay-slips", f"{name}-etl-clean", "nothing", "x\ny"):
            answer = await world.user.post(f"/dags/{dag}/enqueue", json={"queue": queue, "priority": 10})
            assert (answer.status_code in (400, 403), answer.json()["message"].startswith("queue: ")) == (True, True)
        answer = await world.user.post(f"/dags/{name}-etl-clean/enqueue", json={"queue": "shared"})
        assert code_of(answer) == FORBIDDEN  # its definition does not name that
        for queue in ("", "shared", dag):
            answer = await world.user.post(f"/dags/{dag}/enqueue", json={"queue": queue})
            assert answer.status_code == 200, answer.text
        answer = await world.admin.post(f"/dags/{dag}/enqueue", json={"queue": f"{name}-pay-slips"})
        assert answer.status_code == 200  # whose role counts everywhere


async def test_a_manager_by_grant_saves_no_queue_of_another_dag(with_queues: People, name: str) -> None:
    async with making(with_queues, name) as world:
        await world.grant("manager", pattern="etl-*")
        dag, foreign = f"{name}-etl-load", f"queue: {name}-pay-slips\n{STEPS}"
        tags = f"tags: {name}-etl, {name}-nightly\n"
        for answer in (
            await world.user.post("/dags", json={"name": f"{name}-etl-new", "spec": foreign}),
            await world.user.put(f"/dags/{dag}/spec", json={"spec": tags + foreign}),
        ):
            assert code_of(answer) == FORBIDDEN
            assert answer.json()["message"].startswith("queue: your rights do not include")
        for queue in ("shared", dag):
            saved = await world.user.put(f"/dags/{dag}/spec", json={"spec": f"{tags}queue: {queue}\n{STEPS}"})
            assert (saved.status_code, saved.json()["errors"]) == (200, [])
        assert (await world.admin.put(f"/dags/{dag}/spec", json={"spec": tags + foreign})).status_code == 200
        saved = await world.user.put(f"/dags/{dag}/spec", json={"spec": f"{tags}{foreign}  - echo two\n"})
        assert (saved.status_code, saved.json()["errors"]) == (200, [])  # an admin has named it
