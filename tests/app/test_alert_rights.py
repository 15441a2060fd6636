"""Who sees and changes which alerts, rules and channels."""

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
from dagbook.clock import now
from dagbook.db.repositories.alerts import alerts
from dagbook.db.repositories.alerts.alerts import NewAlert
from tests.app.dagbook import Dagbook
from tests.app.people import ROOT, People, code_of, serving_people
from tests.executors.web import Web, plain
from tests.waiting import wait_until

BAD = "steps: [{name: a, command: exit 3}]\n"


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
async def staff(people: People, web: Web) -> AsyncIterator[Staff]:
    """Two channels, one of them shared, a rule for all, and a failed run of each of two DAGs."""
    web.answers |= {"/hook": plain(200), "/shared": plain(200)}
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
        found = Staff(admin, viewer, operator, manager, granted)
        for name, shared in (("hook", False), ("shared", True)):
            body = {"name": name, "type": "webhook", "url": f"{web.url}/{name}", "shared": shared}
            assert (await found.admin.post("/alert-channels", json=body)).status_code == 201
        await post(
            found.admin, "/alert-rules", 201, name="all", match=["*"], on=["failed"], to=["hook"], remindSeconds=0
        )
        for name in ("mine", "other"):
            await post(found.admin, "/dags", 201, name=name, spec=BAD)
            started = await post(found.admin, f"/dags/{name}/start", 200)
            await Dagbook(found.admin, name).finished(started["dagRunId"])

        async def told() -> bool:
            alerts = (await found.admin.get("/alerts")).json()["alerts"]
            return [each["told"][0]["status"] for each in alerts if each["told"]] == ["sent"] * 2

        await wait_until(told)
        yield found


async def post(client: httpx.AsyncClient, path: str, status: int, **body: Any) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_alerts_follow_grants_and_answers_are_for_admins(staff: Staff) -> None:
    seen = {}
    for who in ("admin", "viewer", "granted"):
        client = getattr(staff, who)
        found = (await client.get("/alerts")).json()["alerts"]
        deliveries = (await client.get("/alert-deliveries")).json()["deliveries"]
        seen[who] = (sorted(each["subject"] for each in found), len(deliveries))
        servers = {"server" in attempt for each in deliveries for attempt in each["attempts"]}
        assert servers == {who == "admin"}
    assert seen == {"admin": (["mine", "other"], 2), "viewer": (["mine", "other"], 2), "granted": (["mine"], 1)}
    (other,) = [each for each in (await staff.admin.get("/alerts")).json()["alerts"] if each["subject"] == "other"]
    assert code_of(await staff.granted.get(f"/alerts/{other['id']}")) == (404, "not_found")
    assert code_of(await staff.granted.post(f"/alerts/{other['id']}/acknowledge", json={})) == (404, "not_found")
    delivery = other["told"][0]["id"]
    assert code_of(await staff.granted.post(f"/alert-deliveries/{delivery}/resend")) == (404, "not_found")


async def test_names_of_channels_that_are_not_shared_are_for_admins(staff: Staff) -> None:
    body = {"match": ["*"], "on": ["aborted"], "to": ["shared +1h", "hook"]}
    await post(staff.admin, "/alert-rules", 201, name="both", **body)
    run = (await staff.admin.get("/dag-runs?name=mine")).json()["dagRuns"][0]["dagRunId"]
    names = {"admin": ("hook", ["hook", "shared +1h"]), "viewer": ("webhook", ["webhook", "shared +1h"])}
    for who, (name, targets) in names.items():
        client: httpx.AsyncClient = getattr(staff, who)
        of_run = (await client.get(f"/dag-runs/mine/{run}/alerts")).json()["receipts"]
        found = (await client.get("/alerts")).json()["alerts"]
        deliveries = (await client.get("/alert-deliveries")).json()["deliveries"]
        receipts = [*of_run, *deliveries, *(each for alert in found for each in alert["told"])]
        assert {each["channel"] for each in receipts} == {name}
        (rule,) = [each for each in (await client.get("/alert-rules")).json()["rules"] if each["name"] == "both"]
        assert (rule["to"], (await client.get("/alert-rules/both")).json()["to"]) == (targets, targets)
        explained = (await client.get("/dags/mine/alerts")).json()["rules"]
        assert [each["to"] for each in explained] == [[name], targets]


async def test_an_alert_about_a_channel_that_is_not_shared_does_not_name_it(people: People, staff: Staff) -> None:
    at = now()
    for name in ("hook", "shared"):
        alert = NewAlert(kind="channel", subject_kind="channel", subject=name, data={}, opened_at=at, last_at=at)
        await people.server.services.runs.database.write(alerts.add, alert)
    shown = {}
    for who in ("admin", "viewer"):
        found = (await getattr(staff, who).get("/alerts?kind=channel")).json()["alerts"]
        shown[who] = [each["subject"] for each in found]
    assert shown == {"admin": ["shared", "hook"], "viewer": ["shared", "a channel that is not shared"]}


async def test_operators_acknowledge_and_viewers_do_not(staff: Staff) -> None:
    for alert in (await staff.admin.get("/alerts?dag=mine")).json()["alerts"]:
        path = f"/alerts/{alert['id']}/acknowledge"
        assert code_of(await staff.viewer.post(path, json={})) == (403, "forbidden")
        await post(staff.operator, path, 200, note="on it")
        await post(staff.granted, path, 200)


async def test_managers_have_rules_for_one_dag_with_shared_channels(staff: Staff) -> None:
    body = {"on": ["failed"], "to": ["shared"]}
    for client, name in ((staff.manager, "one"), (staff.granted, "two")):
        found = await post(client, "/alert-rules", 201, name=name, match=["mine"], **body)
        assert (found["dag"], found["match"], found["covers"]) == ("mine", ["mine"], 1)
        assert code_of(await client.post("/alert-rules", json={"name": "x", "match": ["*"], **body})) == (
            403,
            "forbidden",
        )
        hidden = {"name": "x", "dag": "mine", "on": ["failed"], "to": ["hook"]}
        assert code_of(await client.post("/alert-rules", json=hidden)) == (404, "not_found")
        assert code_of(await client.delete("/alert-rules/all")) == (
            (403, "forbidden") if client is staff.manager else (404, "not_found")
        )
    foreign = {"name": "x", "dag": "other", **body}
    assert code_of(await staff.granted.post("/alert-rules", json=foreign)) == (404, "not_found")
    assert code_of(await staff.operator.post("/alert-rules", json=foreign)) == (403, "forbidden")
    names = [each["name"] for each in (await staff.granted.get("/alert-rules")).json()["rules"]]
    assert names == ["one", "two"]
    assert (await staff.granted.delete("/alert-rules/two")).is_success


async def test_channels_are_for_admins_and_others_see_the_shared_ones_without_addresses(staff: Staff) -> None:
    for client in (staff.viewer, staff.manager, staff.granted):
        (shown,) = (await client.get("/alert-channels")).json()["channels"]
        assert (shown["name"], "url" in shown) == ("shared", False)
        assert code_of(await client.get("/alert-channels/hook")) == (404, "not_found")
        new = {"name": "x", "type": "webhook", "url": "http://host/"}
        assert (await client.post("/alert-channels", json=new)).status_code == 403
        assert (await client.post("/alert-channels/shared/secret")).status_code == 403


async def test_an_alert_says_whether_the_caller_may_acknowledge_it_and_a_rule_whether_to_change_it(
    staff: Staff,
) -> None:
    await post(staff.admin, "/alert-rules", 201, name="one", dag="mine", on=["failed"], to=["shared"])
    found = {}
    for who in ("admin", "viewer", "operator", "manager", "granted"):
        client = getattr(staff, who)
        alerts = (await client.get("/alerts?dag=mine")).json()["alerts"]
        of_dag = (await client.get("/dags/mine/alerts")).json()["alerts"]
        assert [each["mayAcknowledge"] for each in of_dag] == [each["mayAcknowledge"] for each in alerts]
        rules = (await client.get("/alert-rules")).json()["rules"]
        may_change = {each["name"] for each in rules if each["mayChange"]}
        found[who] = ({each["mayAcknowledge"] for each in alerts}, may_change)
    assert found == {
        "admin": ({True}, {"all", "one"}),
        "viewer": ({False}, set()),
        "operator": ({True}, set()),
        "manager": ({True}, {"one"}),
        "granted": ({True}, {"one"}),
    }


async def test_a_dag_says_whether_a_mail_reports_its_failure_also_by_the_base_configuration(
    staff: Staff, tmp_path: Path
) -> None:
    assert not (await staff.viewer.get("/dags/mine/alerts")).json()["byMail"]
    base = "smtp: {host: mail.example.org}\nerrorMail: {from: a@b.org, to: c@d.org}\n"
    (tmp_path / "home" / "base.yaml").write_text(base)
    assert not (await staff.viewer.get("/dags/mine/alerts")).json()["byMail"]
    await post(staff.admin, "/dags", 201, name="mailed", spec=f"mailOn: {{failure: true}}\n{BAD}")
    assert (await staff.viewer.get("/dags/mailed/alerts")).json()["byMail"]
