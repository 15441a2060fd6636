"""Every route that changes something makes exactly one entry in the audit; a new one without a row here fails."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.api.auth.guards import find_actions
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Role
from dagbook.clock import now
from dagbook.db.repositories import audit, holds, queue
from dagbook.db.repositories.audit import AuditFilter, AuditRow
from dagbook.db.repositories.holds import HoldRow
from dagbook.identifiers import sub_run_id
from dagbook.json_values import Json
from dagbook.main import API_PATH, Server
from tests.app.dagbook import Dagbook, routes_of
from tests.app.people import PASSWORD, People, Person
from tests.app.trigger_scene import signature_of
from tests.executors.web import Web, plain
from tests.waiting import wait_until

QUICK = "steps: [{name: a, command: 'true'}]\n"
LONG = "steps: [{name: a, command: echo ready; sleep 60}]\n"
CALLING = "steps: [{{name: go, call: {0}-low}}]\n---\nname: {0}-low\nsteps: [{{name: only, command: 'true'}}]\n"
Route = tuple[str, str]
FIXED = ("validate", "search", "tags")
# The one that needs a provider is in test_oidc.
ELSEWHERE = {("GET", "/oidc-callback")}


ASKING = "steps: [{name: gate, type: hitl}]\n"
ASKING_BELOW = "steps: [{{name: go, call: {0}-low}}]\n---\nname: {0}-low\nsteps: [{{name: gate, type: hitl}}]\n"


class Scene:
    """A server with users, an admin's client, and what was in the audit before the request that counts."""

    def __init__(self, people: People, admin: Person, client: httpx.AsyncClient, name: str, folder: Path) -> None:
        self.people, self.admin, self.client, self.name, self.folder = people, admin, client, name, folder
        self.dagbook = Dagbook(client, name)
        self.before = 0

    async def ok(self, method: str, path: str, **body: Any) -> Any:
        answer = await self.client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def do(self, method: str, path: str, **body: Any) -> Any:
        """Send the request that counts."""
        self.before = await self.people.server.services.runs.database.read(audit.last_id)
        return await self.ok(method, path, **body)

    async def store(self, name: str = "", spec: str = QUICK) -> str:
        await self.ok("POST", "/dags", name=name or self.name, spec=spec)
        return name or self.name

    async def user(self) -> str:
        return (await self.people.add(Role.VIEWER, self.name)).id

    async def session(self) -> str:
        """Return the name of the admin's own session in the audit."""
        (found,) = [row for row in (await self.ok("GET", "/sessions"))["sessions"] if row["current"]]
        return f"{self.admin.name}/{found['id']}"

    async def run(self, spec: str = QUICK) -> str:
        ended = await self.dagbook.run(spec, dagRunId="r1")
        return ended.path

    async def busy(self) -> None:
        """Let a run of the stored DAG go on."""
        await self.store(spec=LONG)
        await self.ok("POST", f"/dags/{self.name}/start", dagRunId="r1")
        await self.dagbook.running("r1", "a", "ready")

    async def entries(self) -> list[AuditRow[dict[str, Json]]]:
        found = await self.people.server.services.runs.database.read(
            lambda connection: audit.find(connection, AuditFilter(), 100)
        )
        return [row for row in found if row.id > self.before]


Case = Callable[[Scene], Awaitable[str]]
CASES: dict[Route, Case] = {}


def case(*routes: Route) -> Callable[[Case], Case]:
    """Say which routes a function calls; it returns the name of what was changed."""

    def note(function: Case) -> Case:
        CASES.update(dict.fromkeys(routes, function))
        return function

    return note


@case(("POST", "/dags"))
async def create(scene: Scene) -> str:
    await scene.do("POST", "/dags", name=scene.name)
    return scene.name


@case(("PUT", "/dags/{fileName}/spec"))
async def save(scene: Scene) -> str:
    await scene.store()
    await scene.do("PUT", f"/dags/{scene.name}/spec", spec=LONG)
    return scene.name


@case(("DELETE", "/dags/{fileName}"))
async def remove(scene: Scene) -> str:
    await scene.store()
    await scene.do("DELETE", f"/dags/{scene.name}")
    return scene.name


def fixed(name: str) -> Case:
    async def remove_fixed(scene: Scene) -> str:
        await scene.store(name)
        await scene.do("DELETE", f"/dags/{name}")
        return name

    return remove_fixed


CASES.update({("DELETE", f"/dags/{name}"): fixed(name) for name in FIXED})


@case(("POST", "/dags/{fileName}/rename"))
async def rename(scene: Scene) -> str:
    await scene.store()
    await scene.do("POST", f"/dags/{scene.name}/rename", newFileName=f"{scene.name}-b")
    return scene.name


@case(("POST", "/dags/{fileName}/suspend"))
async def suspend(scene: Scene) -> str:
    await scene.store()
    await scene.do("POST", f"/dags/{scene.name}/suspend", suspend=True)
    return scene.name


@case(("PUT", "/dags/{fileName}/settings"))
async def put_settings(scene: Scene) -> str:
    await scene.store()
    await scene.do("PUT", f"/dags/{scene.name}/settings", catchup="all")
    return scene.name


@case(("PUT", "/dags/{fileName}/run-as"))
async def put_run_as(scene: Scene) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root may switch users here")
    await scene.store()
    await scene.do("PUT", f"/dags/{scene.name}/run-as", account="nobody")
    return scene.name


@case(("POST", "/queues/{name}/pause"))
async def pause_queue(scene: Scene) -> str:
    await scene.do("POST", f"/queues/{scene.name}/pause")
    return scene.name


@case(("POST", "/queues/{name}/resume"))
async def resume_queue(scene: Scene) -> str:
    await scene.ok("POST", f"/queues/{scene.name}/pause")
    await scene.do("POST", f"/queues/{scene.name}/resume")
    return scene.name


async def waiting(scene: Scene) -> int:
    """Let a run wait in a paused queue, and return the number of its place."""
    await scene.store()
    await scene.ok("POST", f"/queues/{scene.name}/pause")
    await scene.ok("POST", f"/dags/{scene.name}/enqueue", dagRunId="r1")
    items = (await scene.ok("GET", f"/queues/{scene.name}/items"))["items"]
    return int(items[0]["waitingFor"]["item"])


@case(("POST", "/queues/{name}/clear"))
async def clear_queue(scene: Scene) -> str:
    await waiting(scene)
    await scene.do("POST", f"/queues/{scene.name}/clear", name=scene.name)
    return f"{scene.name}/r1"


@case(("PATCH", "/queues/{name}/items/{itemId}"))
async def move_in_queue(scene: Scene) -> str:
    item = await waiting(scene)
    await scene.do("PATCH", f"/queues/{scene.name}/items/{item}", priority=5)
    return scene.name


@case(("PUT", "/dags/{fileName}/retention"))
async def put_retention(scene: Scene) -> str:
    await scene.store()
    await scene.do("PUT", f"/dags/{scene.name}/retention", runs=10)
    return scene.name


@case(("POST", "/retention/cleanup"))
async def clean_up(scene: Scene) -> str:
    await scene.store()
    await scene.do("POST", "/retention/cleanup", dagName=scene.name, keep=1)
    return scene.name


@case(("POST", "/dags/{fileName}/revisions/{number}/restore"))
async def restore(scene: Scene) -> str:
    await scene.store()
    await scene.ok("PUT", f"/dags/{scene.name}/spec", spec=LONG)
    await scene.do("POST", f"/dags/{scene.name}/revisions/1/restore")
    return scene.name


@case(("POST", "/dags/{fileName}/revisions/{number}/redact"))
async def redact(scene: Scene) -> str:
    await scene.store(spec=f"{QUICK}# {scene.name}\n")
    await scene.ok("PUT", f"/dags/{scene.name}/spec", spec=QUICK)
    await scene.do("POST", f"/dags/{scene.name}/revisions/1/redact")
    return scene.name


@case(("POST", "/dags/{fileName}/start"))
async def start(scene: Scene) -> str:
    await scene.store()
    await scene.do("POST", f"/dags/{scene.name}/start", dagRunId="r1")
    return f"{scene.name}/r1"


@case(("POST", "/dag-runs"))
async def start_text(scene: Scene) -> str:
    await scene.do("POST", "/dag-runs", spec=QUICK, name=scene.name, dagRunId="r1")
    return f"{scene.name}/r1"


@case(("POST", "/dags/{fileName}/enqueue"))
async def enqueue(scene: Scene) -> str:
    await scene.store()
    await scene.do("POST", f"/dags/{scene.name}/enqueue", dagRunId="r1")
    return f"{scene.name}/r1"


@case(("POST", "/dag-runs/enqueue"))
async def enqueue_text(scene: Scene) -> str:
    await scene.do("POST", "/dag-runs/enqueue", spec=QUICK, name=scene.name, dagRunId="r1")
    return f"{scene.name}/r1"


@case(("GET", "/dag-runs/{name}/{dagRunId}/dequeue"))
async def dequeue(scene: Scene) -> str:
    await scene.busy()
    await scene.ok("POST", f"/dags/{scene.name}/enqueue", dagRunId="r2")
    await scene.do("GET", f"/dag-runs/{scene.name}/r2/dequeue")
    return f"{scene.name}/r2"


@case(("POST", "/dag-runs/{name}/{dagRunId}/stop"))
async def stop(scene: Scene) -> str:
    await scene.busy()
    await scene.do("POST", f"/dag-runs/{scene.name}/r1/stop")
    return f"{scene.name}/r1"


@case(("POST", "/dags/{fileName}/stop-all"))
async def stop_all(scene: Scene) -> str:
    await scene.busy()
    await scene.do("POST", f"/dags/{scene.name}/stop-all")
    return f"{scene.name}/r1"


@case(("POST", "/dag-runs/{name}/{dagRunId}/retry"))
async def retry(scene: Scene) -> str:
    path = await scene.run()
    await scene.do("POST", f"{path}/retry", dagRunId="r1")
    return f"{scene.name}/r1"


@case(("POST", "/dag-runs/{name}/{dagRunId}/reschedule"))
async def reschedule(scene: Scene) -> str:
    path = await scene.run()
    await scene.do("POST", f"{path}/reschedule", dagRunId="r2")
    return f"{scene.name}/r2"


async def asking(scene: Scene, spec: str) -> dict[str, Any]:
    """Start a run that waits for an approval; returns what it waits for."""
    await scene.dagbook.start(spec, dagRunId="r1")

    async def look() -> dict[str, Any] | None:
        found = (await scene.ok("GET", "/approvals"))["approvals"]
        return next((one for one in found if one["dagName"].startswith(scene.name)), None)

    return await wait_until(look)


@case(("POST", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/approve"))
async def approve(scene: Scene) -> str:
    await asking(scene, ASKING)
    await scene.do("POST", f"/dag-runs/{scene.name}/r1/steps/gate/approve")
    return f"{scene.name}/r1"


@case(("POST", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/reject"))
async def reject(scene: Scene) -> str:
    await asking(scene, ASKING)
    await scene.do("POST", f"/dag-runs/{scene.name}/r1/steps/gate/reject", reason="no")
    return f"{scene.name}/r1"


@case(("POST", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/approve"))
async def approve_below(scene: Scene) -> str:
    below = (await asking(scene, ASKING_BELOW.format(scene.name)))["dagRunId"]
    await scene.do("POST", f"/dag-runs/{scene.name}/r1/sub-dag-runs/{below}/steps/gate/approve")
    return f"{scene.name}-low/{below}"


@case(("POST", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/reject"))
async def reject_below(scene: Scene) -> str:
    below = (await asking(scene, ASKING_BELOW.format(scene.name)))["dagRunId"]
    await scene.do("POST", f"/dag-runs/{scene.name}/r1/sub-dag-runs/{below}/steps/gate/reject")
    return f"{scene.name}-low/{below}"


@case(("PATCH", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/status"))
async def set_status(scene: Scene) -> str:
    path = await scene.run()
    await scene.do("PATCH", f"{path}/steps/a/status", status=2)
    return f"{scene.name}/r1"


@case(("PATCH", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/status"))
async def set_status_below(scene: Scene) -> str:
    path = await scene.run(CALLING.format(scene.name))
    below = sub_run_id("r1", "go", "")
    await scene.do("PATCH", f"{path}/sub-dag-runs/{below}/steps/only/status", status=2)
    return f"{scene.name}-low/{below}"


@case(("POST", "/users"))
async def add_user(scene: Scene) -> str:
    await scene.do("POST", "/users", username=scene.name, password=PASSWORD, role="viewer")
    return scene.name


@case(("PATCH", "/users/{userId}"))
async def change_user(scene: Scene) -> str:
    await scene.do("PATCH", f"/users/{await scene.user()}", role="operator")
    return scene.name


@case(("PUT", "/users/{userId}"))
async def put_user(scene: Scene) -> str:
    await scene.do("PUT", f"/users/{await scene.user()}", role="operator")
    return scene.name


@case(("DELETE", "/users/{userId}"))
async def remove_user(scene: Scene) -> str:
    await scene.do("DELETE", f"/users/{await scene.user()}")
    return scene.name


@case(("POST", "/users/{userId}/reset-password"))
async def reset(scene: Scene) -> str:
    await scene.do("POST", f"/users/{await scene.user()}/reset-password", newPassword="another horse")
    return scene.name


@case(("PUT", "/users/{userId}/password"))
async def put_password(scene: Scene) -> str:
    await scene.do("PUT", f"/users/{await scene.user()}/password", newPassword="another horse")
    return scene.name


@case(("POST", "/auth/login"))
async def log_in(scene: Scene) -> str:
    await scene.do("POST", "/auth/login", username=scene.admin.name, password=PASSWORD)
    return scene.admin.name


@case(("POST", "/auth/session"))
async def log_in_a_browser(scene: Scene) -> str:
    await scene.do("POST", "/auth/session", username=scene.admin.name, password=PASSWORD)
    return scene.admin.name


@case(("POST", "/auth/logout"))
async def log_out(scene: Scene) -> str:
    name = await scene.session()
    await scene.do("POST", "/auth/logout")
    return name


@case(("DELETE", "/sessions/{sessionId}"))
async def end_session(scene: Scene) -> str:
    name = await scene.session()
    await scene.do("DELETE", f"/sessions/{name.rpartition('/')[2]}")
    return name


@case(("DELETE", "/sessions"))
async def end_other_sessions(scene: Scene) -> str:
    await scene.people.login(scene.admin.name)
    await scene.do("DELETE", "/sessions")
    return f"{scene.admin.name}/*"


@case(("POST", "/auth/change-password"))
async def change_password(scene: Scene) -> str:
    await scene.do("POST", "/auth/change-password", currentPassword=PASSWORD, newPassword="another horse")
    return scene.admin.name


@case(("POST", "/tokens"))
async def add_token(scene: Scene) -> str:
    await scene.do("POST", "/tokens", name="ci")
    return f"{scene.admin.name}/ci"


@case(("DELETE", "/tokens/{tokenId}"))
async def revoke_token(scene: Scene) -> str:
    made = await scene.ok("POST", "/tokens", name="ci")
    await scene.do("DELETE", f"/tokens/{made['details']['id']}")
    return f"{scene.admin.name}/ci"


async def group_of(scene: Scene) -> str:
    return str((await scene.ok("POST", "/groups", name=scene.name))["id"])


async def grant_of(scene: Scene) -> str:
    body = {"groupId": await group_of(scene), "role": "viewer", "pattern": "etl-*"}
    return str((await scene.ok("POST", "/grants", **body))["id"])


@case(("POST", "/groups"))
async def add_group(scene: Scene) -> str:
    await scene.do("POST", "/groups", name=scene.name)
    return scene.name


@case(("PUT", "/groups/{groupId}"))
async def change_group(scene: Scene) -> str:
    await scene.do("PUT", f"/groups/{await group_of(scene)}", name=scene.name, claim="groups=ops")
    return scene.name


@case(("DELETE", "/groups/{groupId}"))
async def remove_group(scene: Scene) -> str:
    await scene.do("DELETE", f"/groups/{await group_of(scene)}")
    return scene.name


@case(("PUT", "/groups/{groupId}/members/{userId}"))
async def join_group(scene: Scene) -> str:
    await scene.do("PUT", f"/groups/{await group_of(scene)}/members/{scene.admin.id}")
    return scene.name


@case(("DELETE", "/groups/{groupId}/members/{userId}"))
async def leave_group(scene: Scene) -> str:
    path = f"/groups/{await group_of(scene)}/members/{scene.admin.id}"
    await scene.ok("PUT", path)
    await scene.do("DELETE", path)
    return scene.name


@case(("POST", "/grants"))
async def add_grant(scene: Scene) -> str:
    body = {"groupId": await group_of(scene), "role": "viewer", "pattern": "etl-*"}
    await scene.do("POST", "/grants", **body)
    return f"group {scene.name}: DAGs named etl-*"


@case(("PATCH", "/grants/{grantId}"))
async def change_grant(scene: Scene) -> str:
    await scene.do("PATCH", f"/grants/{await grant_of(scene)}", role="operator")
    return f"group {scene.name}: DAGs named etl-*"


@case(("DELETE", "/grants/{grantId}"))
async def remove_grant(scene: Scene) -> str:
    await scene.do("DELETE", f"/grants/{await grant_of(scene)}")
    return f"group {scene.name}: DAGs named etl-*"


async def source_of(scene: Scene) -> str:
    await scene.ok("POST", "/sources", name=scene.name, place=str(scene.folder))
    return f"/sources/{scene.name}"


@case(("POST", "/sources"))
async def add_source(scene: Scene) -> str:
    await scene.do("POST", "/sources", name=scene.name, place=str(scene.folder))
    return scene.name


@case(("DELETE", "/sources/{sourceName}"))
async def remove_source(scene: Scene) -> str:
    await scene.do("DELETE", await source_of(scene))
    return scene.name


@case(("POST", "/sources/{sourceName}/sync"))
async def sync_source(scene: Scene) -> str:
    await scene.do("POST", f"{await source_of(scene)}/sync")
    return scene.name


@case(("POST", "/sources/{sourceName}/fetch"))
async def fetch_source(scene: Scene) -> str:
    await scene.do("POST", f"{await source_of(scene)}/fetch")
    return scene.name


async def channel_of(scene: Scene) -> str:
    await scene.ok("POST", "/alert-channels", name=scene.name, type="webhook", url="http://127.0.0.1:9/hook")
    return f"/alert-channels/{scene.name}"


async def rule_of(scene: Scene) -> str:
    await channel_of(scene)
    await scene.ok("POST", "/alert-rules", name=scene.name, match=[scene.name], on=["failed"], to=[scene.name])
    return f"/alert-rules/{scene.name}"


@case(("POST", "/alert-channels"))
async def add_channel(scene: Scene) -> str:
    await scene.do("POST", "/alert-channels", name=scene.name, type="webhook", url="http://127.0.0.1:9/hook")
    return scene.name


@case(("PATCH", "/alert-channels/{channelName}"))
async def change_channel(scene: Scene) -> str:
    await scene.do("PATCH", await channel_of(scene), shared=True)
    return scene.name


@case(("DELETE", "/alert-channels/{channelName}"))
async def remove_channel(scene: Scene) -> str:
    await scene.do("DELETE", await channel_of(scene))
    return scene.name


@case(("POST", "/alert-channels/{channelName}/secret"))
async def rotate_secret(scene: Scene) -> str:
    await scene.do("POST", f"{await channel_of(scene)}/secret")
    return scene.name


@case(("POST", "/alert-channels/{channelName}/test"))
async def try_channel(scene: Scene) -> str:
    web = Web()
    await web.start()
    web.answers["/hook"] = plain(200)
    await scene.ok("POST", "/alert-channels", name=scene.name, type="webhook", url=f"{web.url}/hook")
    await scene.do("POST", f"/alert-channels/{scene.name}/test")
    await web.stop()
    return scene.name


@case(("POST", "/alert-rules"))
async def add_rule(scene: Scene) -> str:
    await channel_of(scene)
    await scene.do("POST", "/alert-rules", name=scene.name, match=[scene.name], on=["failed"], to=[scene.name])
    return scene.name


@case(("PUT", "/alert-rules/{ruleName}"))
async def change_rule(scene: Scene) -> str:
    await scene.do("PUT", await rule_of(scene), match=[scene.name], on=["aborted"], to=[scene.name])
    return scene.name


@case(("DELETE", "/alert-rules/{ruleName}"))
async def remove_rule(scene: Scene) -> str:
    await scene.do("DELETE", await rule_of(scene))
    return scene.name


@case(("POST", "/alert-rules/{ruleName}/test"))
async def try_rule(scene: Scene) -> str:
    await scene.do("POST", f"{await rule_of(scene)}/test", dag="other")  # which it does not cover: nothing is sent
    return "other"


async def alert_of(scene: Scene) -> dict[str, Any]:
    """Let a run fail; returns its alert, whose message waits for an hour."""
    await channel_of(scene)
    await scene.ok("POST", "/alert-rules", name=scene.name, match=[scene.name], on=["failed"], to=[f"{scene.name} +1h"])
    await scene.dagbook.run("steps: [{name: a, command: exit 1}]\n")

    async def look() -> dict[str, Any] | None:
        found = (await scene.ok("GET", f"/alerts?dag={scene.name}"))["alerts"]
        return found[0] if found and found[0]["told"] else None

    return await wait_until(look)


@case(("POST", "/alerts/{alertId}/acknowledge"))
async def acknowledge(scene: Scene) -> str:
    await scene.do("POST", f"/alerts/{(await alert_of(scene))['id']}/acknowledge", note="on it")
    return scene.name


@case(("POST", "/alert-deliveries/{deliveryId}/resend"))
async def resend(scene: Scene) -> str:
    found = await alert_of(scene)
    await scene.ok("POST", f"/alerts/{found['id']}/acknowledge")  # which drops the message
    await scene.do("POST", f"/alert-deliveries/{found['told'][0]['id']}/resend")
    return scene.name


async def trigger_of(scene: Scene) -> str:
    await scene.store()
    await scene.ok("POST", "/triggers", name=scene.name, dag=scene.name, scheme="github")
    return f"/triggers/{scene.name}"


@case(("POST", "/triggers"))
async def add_trigger(scene: Scene) -> str:
    await scene.store()
    await scene.do("POST", "/triggers", name=scene.name, dag=scene.name, scheme="github")
    return scene.name


@case(("PATCH", "/triggers/{triggerName}"))
async def change_trigger(scene: Scene) -> str:
    await scene.do("PATCH", await trigger_of(scene), perMinute=7)
    return scene.name


@case(("DELETE", "/triggers/{triggerName}"))
async def remove_trigger(scene: Scene) -> str:
    await scene.do("DELETE", await trigger_of(scene))
    return scene.name


@case(("POST", "/triggers/{triggerName}/secret"))
async def rotate_trigger(scene: Scene) -> str:
    await scene.do("POST", f"{await trigger_of(scene)}/secret")
    return scene.name


@case(("POST", "/triggers/{triggerName}/pause"))
async def pause_trigger(scene: Scene) -> str:
    await scene.do("POST", f"{await trigger_of(scene)}/pause")
    return scene.name


@case(("POST", "/triggers/{triggerName}/resume"))
async def resume_trigger(scene: Scene) -> str:
    await scene.do("POST", f"{await trigger_of(scene)}/resume", discard=True)
    return scene.name


async def event_of(scene: Scene) -> str:
    """Send an event, which waits; returns its path."""
    path = await trigger_of(scene)
    secret = (await scene.ok("POST", f"{path}/secret"))["secret"]
    await scene.ok("POST", f"{path}/pause")
    headers = {"X-Hub-Signature-256": signature_of(secret, b"{}"), "Authorization": ""}
    answer = await scene.client.post(f"/hooks/{scene.name}", content=b"{}", headers=headers)
    return f"{path}/events/{answer.json()['eventId']}"


@case(("POST", "/triggers/{triggerName}/events/{eventId}/discard"))
async def discard_event(scene: Scene) -> str:
    await scene.do("POST", f"{await event_of(scene)}/discard")
    return scene.name


@case(("POST", "/triggers/{triggerName}/events/{eventId}/replay"))
async def replay_event(scene: Scene) -> str:
    path = await event_of(scene)
    await scene.ok("POST", f"{path}/discard")
    await scene.do("POST", f"{path}/replay")
    return scene.name


async def batch_of(scene: Scene) -> str:
    """Make a batch that no server works off, whose runs have entries of their own; returns its id."""
    await scene.people.server.batches.stop()
    await scene.store(spec="schedule: '0 2 * * *'\nsteps: [{command: exit 1}]\n")
    day = (now() - timedelta(days=9)).date().isoformat()
    body = {"action": "start", "dag": scene.name, "from": day, "to": day}
    return str((await scene.do("POST", "/batches", **body))["batchId"])


CASES["POST", "/batches"] = batch_of


@case(("POST", "/batches/{batchId}/pause"))
async def pause_batch(scene: Scene) -> str:
    batch = await batch_of(scene)
    await scene.do("POST", f"/batches/{batch}/pause")
    return batch


@case(("POST", "/batches/{batchId}/resume"))
async def resume_batch(scene: Scene) -> str:
    batch = await batch_of(scene)
    await scene.do("POST", f"/batches/{batch}/resume")
    return batch


@case(("POST", "/batches/{batchId}/cancel"))
async def cancel_batch(scene: Scene) -> str:
    batch = await batch_of(scene)
    await scene.do("POST", f"/batches/{batch}/cancel")
    return batch


@case(("POST", "/batches/{batchId}/retry"))
async def retry_batch(scene: Scene) -> str:
    batch = await batch_of(scene)

    async def look() -> bool:
        return "endedAt" in (await scene.client.get(f"/batches/{batch}")).json()

    scene.people.server.batches.start()
    await wait_until(look)
    await scene.people.server.batches.stop()
    await scene.do("POST", f"/batches/{batch}/retry")
    return batch


@case(("POST", "/audit/prune"))
async def prune(scene: Scene) -> str:
    await scene.store()
    last = await scene.people.server.services.runs.database.read(audit.last_id)
    await scene.people.server.audit_sealer.run_once()
    await scene.do("POST", "/audit/prune", before="2999-01-01T00:00:00Z", dryRun=False)
    return str(last)


@case(("POST", "/secrets/rekey"))
async def rekey(scene: Scene) -> str:
    await scene.do("POST", "/secrets/rekey")
    return "secrets"


@case(("POST", "/hold/resume"))
async def resume(scene: Scene) -> str:
    row = HoldRow(held_at=now(), held_by=None, origin=scene.name)
    await scene.people.server.services.runs.database.write(lambda connection: holds.add(connection, row))
    await scene.do("POST", "/hold/resume")
    return scene.name


@case(("PUT", "/pause"))
async def pause_everything(scene: Scene) -> str:
    await scene.do("PUT", "/pause", reason="a test")
    await scene.people.server.services.runs.database.write(queue.remove_total_pause)
    return "everything"


@case(("DELETE", "/pause"))
async def unpause(scene: Scene) -> str:
    await scene.ok("PUT", "/pause", reason="a test")
    await scene.do("DELETE", "/pause")
    return "everything"


# -- the tests ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def scene(people: People, name: str, tmp_path: Path) -> AsyncIterator[Scene]:
    admin = await people.add(Role.ADMIN, f"admin-{secrets.token_hex(4)}")
    async with people.client(admin.token) as client:
        made = Scene(people, admin, client, name, tmp_path)
        yield made
        await client.post(f"/dag-runs/{name}/r1/stop")  # if it still runs, which only some do


def actions(server: Server) -> dict[Route, Action]:
    found = find_actions(routes_of(server))
    return {
        (method, path.removeprefix(API_PATH).replace(":str", "")): action for (method, path), action in found.items()
    }


async def test_every_changing_route_has_a_case_and_every_case_a_route(people: People) -> None:
    assert set(actions(people.server)) == set(CASES) | ELSEWHERE


@pytest.mark.parametrize("route", CASES, ids=" ".join)
async def test_a_change_makes_one_entry_that_says_who_did_what(scene: Scene, route: Route) -> None:
    name = await CASES[route](scene)
    (entry,) = await scene.entries()
    expected = {
        "action": str(actions(scene.people.server)[route]),
        "name": name,
        "actor": scene.admin.name,
        "user_id": scene.admin.id,
        "via": "login",
        "address": "127.0.0.1",
        "outcome": "done",
    }
    assert {key: getattr(entry, key) for key in expected} == expected
