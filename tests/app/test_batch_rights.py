"""Who sees and makes which batches, and what becomes of one whose maker loses the right meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dagbook.accounts.access import GrantRequest
from dagbook.accounts.users import UserChanges
from dagbook.auth.roles import Role, UserScope
from tests.app.people import ROOT, People, Person, code_of, serving_people
from tests.waiting import wait_until

HIDDEN, FORBIDDEN = (404, "not_found"), (403, "forbidden")
SPEC = "schedule: '0 2 * * *'\nsteps: [{name: a, command: sleep 60}]\n"
LAST = datetime.now(UTC).date() - timedelta(days=5)


class Staff(msgspec.Struct, frozen=True):
    """Clients of an admin, of a viewer, and of a user with a grant as operator for the DAG ``mine``."""

    people: People
    admin: httpx.AsyncClient
    viewer: httpx.AsyncClient
    granted: httpx.AsyncClient
    person: Person
    grant: str


@pytest.fixture
async def staff(database_url: str, tmp_path: Path) -> AsyncIterator[Staff]:
    async with serving_people(database_url, tmp_path / "home") as people, AsyncExitStack() as stack:
        admin, viewer = [
            await stack.enter_async_context(people.client((await people.add(role)).token))
            for role in (Role.ADMIN, Role.VIEWER)
        ]
        person, auth = await people.add(Role.VIEWER), people.server.services.accounts.auth
        wish = GrantRequest(user_id=person.id, role=Role.OPERATOR, pattern="mine")
        grant = await auth.access.create_grant(wish, ROOT)
        await auth.users.update(person.id, UserChanges(scope=UserScope.GRANTED), ROOT)
        granted = await stack.enter_async_context(people.client(await people.login(person.name)))
        for name in ("mine", "other"):
            assert (await admin.post("/dags", json={"name": name, "spec": SPEC})).status_code == 201
        yield Staff(people, admin, viewer, granted, person, grant.id)
        for batch in (await admin.get("/batches")).json()["batches"]:
            await admin.post(f"/batches/{batch['id']}/cancel", json={"stopRuns": True})


def body(dag: str) -> dict[str, Any]:
    return {"action": "start", "dag": dag, "from": str(LAST - timedelta(days=2)), "to": str(LAST)}


async def make(client: httpx.AsyncClient, dag: str) -> int:
    answer = await client.post("/batches", json=body(dag))
    assert answer.status_code == 200, answer.text
    return int(answer.json()["batchId"])


async def test_batches_follow_grants_and_the_right_to_run(staff: Staff) -> None:
    mine, other = await make(staff.granted, "mine"), await make(staff.admin, "other")
    seen = {}
    for who in ("admin", "viewer", "granted"):
        client: httpx.AsyncClient = getattr(staff, who)
        found = (await client.get("/batches")).json()["batches"]
        seen[who] = [(batch["id"], batch["mayRun"]) for batch in found]
    assert seen == {
        "admin": [(other, True), (mine, True)],
        "viewer": [(other, False), (mine, False)],
        "granted": [(mine, True)],
    }
    assert code_of(await staff.viewer.post("/batches", json=body("mine"))) == FORBIDDEN
    assert code_of(await staff.granted.post("/batches", json=body("other"))) == HIDDEN
    for path in ("", "/items"):
        assert code_of(await staff.granted.get(f"/batches/{other}{path}")) == HIDDEN
    for change in ("pause", "resume", "cancel", "retry"):
        assert code_of(await staff.granted.post(f"/batches/{other}/{change}")) == HIDDEN
        assert code_of(await staff.viewer.post(f"/batches/{mine}/{change}")) == FORBIDDEN
    assert (await staff.granted.post(f"/batches/{mine}/pause")).status_code == 200


@pytest.mark.parametrize("loss", ["grant", "user", "disabled"])
async def test_a_batch_whose_maker_loses_the_right_pauses_and_says_why(staff: Staff, loss: str) -> None:
    batch = await make(staff.granted, "mine")

    async def running() -> str | None:
        found = (await staff.admin.get("/dag-runs/mine", params={"status": 1})).json()["dagRuns"]
        return found[0]["dagRunId"] if found else None

    run_id = await wait_until(running)
    auth = staff.people.server.services.accounts.auth
    match loss:
        case "grant":
            await auth.access.remove_grant(staff.grant, ROOT)
        case "user":
            await auth.users.remove(staff.person.id, ROOT)
        case _:
            await auth.users.update(staff.person.id, UserChanges(disabled=True), ROOT)
    assert (await staff.admin.post(f"/dag-runs/mine/{run_id}/stop")).status_code == 200

    async def paused() -> dict[str, Any] | None:
        found: dict[str, Any] = (await staff.admin.get(f"/batches/{batch}")).json()
        return found if "pausedAt" in found else None

    found = await wait_until(paused)
    assert found["pausedWhy"] == f"{staff.person.name} may not start runs of mine any more"
    assert found["counts"]["planned"] == 2


async def run_quick(staff: Staff, *names: str) -> None:
    """Run DAGs to their ends; they have the same param."""
    for name in names:
        spec = "params: {CUSTOMER: seven}\nsteps: [{name: a, command: 'true'}]\n"
        assert (await staff.admin.put(f"/dags/{name}/spec", json={"spec": spec})).status_code == 200
        started = await staff.admin.post(f"/dags/{name}/start", json={})
        run_id = started.json()["dagRunId"]

        async def ended(name: str = name, run_id: str = run_id) -> bool:
            found = (await staff.admin.get(f"/dag-runs/{name}/{run_id}")).json()["dagRunDetails"]
            return bool(found["statusLabel"] == "succeeded")

        await wait_until(ended)


def recall_of(**options: Any) -> dict[str, Any]:
    return {"action": "again", "filter": {"param": "CUSTOMER=seven"}, "reason": "wrong customer", **options}


async def test_a_recall_has_the_runs_that_its_maker_may_run_and_tells_nothing_of_others(staff: Staff) -> None:
    await run_quick(staff, "mine", "other")
    found = {}
    for who in ("admin", "granted"):
        client: httpx.AsyncClient = getattr(staff, who)
        planned = (await client.post("/batches", json=recall_of(dryRun=True))).json()
        found[who] = (planned["counts"]["planned"], planned["runs"], [item["dag"] for item in planned["items"]])
    assert found == {
        "admin": (2, {"succeeded": 2}, ["mine", "other"]),
        "granted": (1, {"succeeded": 1}, ["mine"]),
    }
    assert code_of(await staff.viewer.post("/batches", json=recall_of())) == FORBIDDEN
    assert code_of(await staff.granted.post("/batches", json=recall_of(dag="other"))) == HIDDEN
    made = (await staff.granted.post("/batches", json=recall_of())).json()
    batch, all_of_them = made["batchId"], (await staff.admin.post("/batches", json=recall_of())).json()["batchId"]
    shown = (await staff.granted.get("/batches")).json()["batches"]
    assert [(each["id"], each["mayRun"]) for each in shown] == [(batch, True)]
    assert [item["dag"] for item in (await staff.granted.get(f"/batches/{batch}/items")).json()["items"]] == ["mine"]
    assert code_of(await staff.granted.post(f"/batches/{all_of_them}/pause")) == HIDDEN
    assert code_of(await staff.viewer.post(f"/batches/{all_of_them}/pause")) == FORBIDDEN


async def test_a_recall_pauses_when_a_grant_for_one_of_its_dags_is_removed(staff: Staff) -> None:
    await run_quick(staff, "mine")
    await staff.people.server.batches.stop()
    batch = (await staff.granted.post("/batches", json=recall_of())).json()["batchId"]
    await staff.people.server.services.accounts.auth.access.remove_grant(staff.grant, ROOT)
    staff.people.server.batches.start()

    async def paused() -> dict[str, Any] | None:
        found: dict[str, Any] = (await staff.admin.get(f"/batches/{batch}")).json()
        return found if "pausedAt" in found else None

    found = await wait_until(paused)
    assert found["pausedWhy"] == f"{staff.person.name} may not start runs of mine any more"
    assert found["counts"]["planned"] == 1
    # The list has nothing of the DAG that is hidden by now.
    assert (await staff.granted.get(f"/batches/{batch}/items")).json()["items"] == []


async def test_deleting_takes_the_right_to_write_for_each_dag(staff: Staff) -> None:
    await run_quick(staff, "mine")
    delete = {"action": "delete", "filter": {"param": "CUSTOMER=seven"}}
    assert (await staff.granted.post("/batches", json=delete)).json()["counts"]["planned"] == 0
    assert code_of(await staff.granted.post("/batches", json=delete | {"dag": "mine"})) == FORBIDDEN
    async with staff.people.client((await staff.people.add(Role.OPERATOR)).token) as operator:
        assert code_of(await operator.post("/batches", json=delete)) == FORBIDDEN
    async with staff.people.client((await staff.people.add(Role.MANAGER)).token) as manager:
        await staff.people.server.batches.stop()
        batch = (await manager.post("/batches", json=delete)).json()["batchId"]
    async with staff.people.client((await staff.people.add(Role.OPERATOR)).token) as operator:
        assert code_of(await operator.post(f"/batches/{batch}/resume")) == FORBIDDEN
    staff.people.server.batches.start()

    async def deleted() -> bool:
        return bool((await staff.admin.get(f"/batches/{batch}")).json()["counts"]["done"] == 1)

    await wait_until(deleted)
