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
