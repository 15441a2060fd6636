"""Who sees and changes which triggers, and who may start something by them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dagbook.accounts.access import GrantRequest
from dagbook.accounts.users import UserChanges
from dagbook.auth.roles import Role, UserScope
from tests.app.people import ROOT, People, code_of, serving_people
from tests.app.trigger_scene import SHOW, signature_of
from tests.waiting import wait_until

HIDDEN, FORBIDDEN = (404, "not_found"), (403, "forbidden")


class Staff(msgspec.Struct, frozen=True):
    """Clients of an admin, of users with a role, and of one with a grant as manager for the DAG ``mine``."""

    admin: httpx.AsyncClient
    viewer: httpx.AsyncClient
    operator: httpx.AsyncClient
    manager: httpx.AsyncClient
    granted: httpx.AsyncClient


@pytest.fixture
async def people(database_url: str, tmp_path: Path) -> AsyncIterator[People]:
    async with serving_people(database_url, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
async def staff(people: People) -> AsyncIterator[Staff]:
    """Two DAGs with a trigger each."""
    async with AsyncExitStack() as stack:
        admin, viewer, operator, manager = [
            await stack.enter_async_context(people.client((await people.add(role)).token))
            for role in (Role.ADMIN, Role.VIEWER, Role.OPERATOR, Role.MANAGER)
        ]
        person = await people.add(Role.VIEWER)
        auth = people.server.services.accounts.auth
        await auth.access.create_grant(GrantRequest(user_id=person.id, role=Role.MANAGER, pattern="mine"), ROOT)
        await auth.users.update(person.id, UserChanges(scope=UserScope.GRANTED), ROOT)
        granted = await stack.enter_async_context(people.client(await people.login(person.name)))
        for name in ("mine", "other"):
            assert (await admin.post("/dags", json={"name": name, "spec": SHOW})).status_code == 201
            added = await admin.post("/triggers", json={"name": name, "dag": name, "scheme": "github"})
            assert added.status_code == 201, added.text
        yield Staff(admin, viewer, operator, manager, granted)


async def test_triggers_follow_grants(staff: Staff) -> None:
    seen = {}
    for who in ("admin", "viewer", "granted"):
        client: httpx.AsyncClient = getattr(staff, who)
        found = (await client.get("/triggers")).json()["triggers"]
        seen[who] = [(each["name"], each["mayChange"], each["mayRun"]) for each in found]
    assert seen == {
        "admin": [("mine", True, True), ("other", True, True)],
        "viewer": [("mine", False, False), ("other", False, False)],
        "granted": [("mine", True, True)],
    }
    for path in ("/triggers/other", "/triggers/other/events", "/triggers/other/events/x", "/dags/other/triggers"):
        assert code_of(await staff.granted.get(path)) == HIDDEN
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/secret"), ("POST", "/pause"), ("POST", "/resume")):
        answer = await staff.granted.request(method, f"/triggers/other{path}", json=None if method == "DELETE" else {})
        assert code_of(answer) == HIDDEN


async def test_managers_change_triggers_and_operators_pause_them(staff: Staff) -> None:
    new = {"name": "new", "dag": "mine", "scheme": "token"}
    for client in (staff.viewer, staff.operator):
        assert code_of(await client.post("/triggers", json=new)) == FORBIDDEN
        for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/secret")):
            answer = await client.request(method, f"/triggers/mine{path}", json=None if method == "DELETE" else {})
            assert code_of(answer) == FORBIDDEN
    for path in ("pause", "resume"):
        assert code_of(await staff.viewer.post(f"/triggers/mine/{path}")) == FORBIDDEN
        for client in (staff.operator, staff.granted):
            assert (await client.post(f"/triggers/mine/{path}")).is_success
    for client in (staff.manager, staff.granted):
        assert (await client.post("/triggers", json=new)).status_code == 201
        assert (await client.post("/triggers/new/secret")).is_success
        assert (await client.patch("/triggers/new", json={"perMinute": 1})).is_success
        assert (await client.delete("/triggers/new")).status_code == 204


async def test_who_has_grants_has_triggers_for_these_dags_in_their_queues(staff: Staff) -> None:
    foreign = {"name": "new", "dag": "other", "scheme": "token"}
    assert code_of(await staff.granted.post("/triggers", json=foreign)) == HIDDEN
    assert code_of(await staff.granted.patch("/triggers/mine", json={"dag": "other"})) == HIDDEN
    queued = {"name": "new", "dag": "mine", "scheme": "token", "queue": "other"}
    assert code_of(await staff.granted.post("/triggers", json=queued)) == FORBIDDEN
    assert code_of(await staff.granted.patch("/triggers/mine", json={"queue": "other"})) == FORBIDDEN
    assert (await staff.manager.post("/triggers", json=queued)).status_code == 201


async def _start(staff: Staff) -> Any:
    """Send an event to the trigger ``mine`` and wait for its run."""
    body = b"{}"
    secret = (await staff.manager.post("/triggers/mine/secret")).json()["secret"]
    signed = {"X-Hub-Signature-256": signature_of(secret, body), "Authorization": ""}
    event = (await staff.viewer.post("/hooks/mine", content=body, headers=signed)).json()

    async def started() -> bool:
        return (await staff.viewer.get(f"/dag-runs/mine/{event['dagRunId']}")).status_code == 200

    await wait_until(started)
    return event


async def test_a_hook_takes_signatures_and_no_login(staff: Staff) -> None:
    for client in (staff.admin, staff.granted):
        assert (await client.post("/hooks/mine", content=b"{}")).status_code == 401
    event = await _start(staff)
    shown = (await staff.viewer.get(f"/triggers/mine/events/{event['eventId']}")).json()
    assert (shown["state"], "body" in shown) == ("started", False)


async def test_operators_read_bodies_and_replay_and_viewers_do_not(staff: Staff) -> None:
    secret = (await staff.manager.post("/triggers/other/secret")).json()["secret"]
    headers = {"X-Hub-Signature-256": signature_of(secret, b"{}"), "Authorization": ""}
    event = (await staff.viewer.post("/hooks/other", content=b"{}", headers=headers)).json()
    path = f"/triggers/other/events/{event['eventId']}"

    async def settled() -> bool:
        return bool((await staff.viewer.get(path)).json()["state"] == "started")

    await wait_until(settled)
    tries = (("GET", "/body"), ("POST", "/replay"), ("POST", "/discard"))
    for client, code in ((staff.viewer, FORBIDDEN), (staff.granted, HIDDEN)):
        assert [code_of(await client.request(method, f"{path}{what}")) for method, what in tries] == [code] * 3
        assert code_of(await client.post("/triggers/other/test", json={})) == code
    assert (await staff.operator.get(f"{path}/body")).content == b"{}"
    assert (await staff.operator.post("/triggers/other/test", json={"body": "{}"})).json()["matches"] is True
    answer = await staff.operator.post(f"{path}/replay")
    assert answer.status_code == 202, answer.text
    replayed = answer.json()

    async def run() -> Any:
        found = await staff.viewer.get(f"/dag-runs/other/{replayed['dagRunId']}")
        return found.json()["dagRunDetails"] if found.status_code == 200 else None

    assert (await wait_until(run))["actor"].startswith("operator-")
    entries = (await staff.admin.get("/audit")).json()["entries"]
    done = [each for each in entries if each["outcome"] == "done"]
    (entry,) = [each for each in done if each["action"].startswith(("trigger.replay", "run"))]
    assert (entry["action"], entry["after"]) == (
        "trigger.replay",
        {"event": event["eventId"], "run": replayed["eventId"]},
    )


async def test_a_run_names_its_event_to_who_sees_the_trigger(staff: Staff) -> None:
    event = await _start(staff)
    wanted = {"id": event["eventId"], "trigger": "mine"}
    for dag, seen in (("mine", wanted), ("other", None)):  # a trigger may start another DAG later
        assert (await staff.admin.patch("/triggers/mine", json={"dag": dag})).is_success
        run = (await staff.granted.get(f"/dag-runs/mine/{event['dagRunId']}")).json()["dagRunDetails"]
        assert (run["trigger"], run.get("triggerEvent")) == ("webhook", seen)


async def test_changes_are_audited_and_events_are_not(staff: Staff) -> None:
    secret = (await staff.manager.post("/triggers/mine/secret")).json()["secret"]
    for number in range(2):
        body = str(number).encode()
        headers = {"X-Hub-Signature-256": signature_of(secret, body)}
        assert (await staff.viewer.post("/hooks/mine", content=body, headers=headers)).status_code == 202
    entries = (await staff.admin.get("/audit")).json()["entries"]
    found = [each["action"] for each in entries if each["action"].startswith(("trigger", "run"))]
    assert found == ["trigger.secret", "trigger.create", "trigger.create"]
    assert secret not in (await staff.admin.get("/audit")).text


async def test_who_follows_a_dag_sees_it_also_when_its_runs_end(people: People) -> None:
    auth, person = people.server.services.accounts.auth, await people.add(Role.VIEWER)
    await auth.users.update(person.id, UserChanges(scope=UserScope.GRANTED), ROOT)
    await auth.access.create_grant(GrantRequest(user_id=person.id, role=Role.MANAGER, pattern="mine"), ROOT)
    new = {"name": "mine", "dag": "mine", "kind": "after", "settings": {"after": "other"}}
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(people.client((await people.add(Role.ADMIN)).token))
        granted = await stack.enter_async_context(people.client(person.token))
        for name in ("mine", "other"):
            assert (await admin.post("/dags", json={"name": name, "spec": SHOW})).status_code == 201
        texts = [
            (await granted.post("/triggers", json=new | {"settings": {"after": name}})).json()["message"]
            for name in ("other", "nothing")
        ]
        assert texts == [f"settings.after: there is no DAG named {name!r}" for name in ("other", "nothing")]

        view = await auth.access.create_grant(GrantRequest(user_id=person.id, role=Role.VIEWER, pattern="other"), ROOT)
        assert (await granted.post("/triggers", json=new)).status_code == 201

        async def events(number: int) -> list[str]:
            assert (await admin.post("/dags/other/start", json={})).is_success

            async def settled() -> list[str] | None:
                found = (await admin.get("/triggers/mine/events")).json()["events"]
                texts = [f"{each['state']}: {each.get('reason', '')}" for each in found]
                return texts if len(found) == number and "waiting: " not in texts else None

            return await wait_until(settled)

        assert await events(1) == ["started: "]
        await auth.access.remove_grant(view.id, ROOT)
        newest, _ = await events(2)
        assert newest.startswith(f"dead: {person.name}, who has added this trigger, may not see the DAG other any more")
        assert code_of(await granted.patch("/triggers/mine", json={"params": {"A": "output:A"}})) == HIDDEN
        assert (await admin.patch("/triggers/mine", json={"params": {"A": "output:A"}})).is_success
