"""A worker whose PostgreSQL role may execute runs, and nothing else (``dagbook db worker-role``)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import NullPool, make_url, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from dagbook.db.database import Database
from dagbook.db.models.run import Run
from dagbook.db.repositories.accounts.principals import may_call
from dagbook.db.url import parse_url
from tests.process import conftest, invariants, store
from tests.process.postgres import Cluster
from tests.process.program import Program
from tests.process.waiting import wait_for
from tests.process.workers import WorkerProgram

ROLE, PASSWORD = "dagbook_worker", "secret"
SELECTOR = "workerSelector: {gpu: 'true'}\n"
# What a worker does: output, outputs, retries, conditions, repetitions, handlers, secrets, sub-runs with and without
# a text of their own, in parallel and on workers again.
LIFE = f"""
{SELECTOR}
tags: [a, b]
params: P=1
secrets: [{{name: SEC, provider: file, key: {{secret}}}}]
handlerOn: {{exit: {{command: echo over}}}}
steps:
  - {{name: print, command: 'echo "$P $SEC"; echo "has $SEC" > $DAG_SUMMARY', output: OUT}}
  - name: again
    command: date > $DAG_SUMMARY; test -e {{folder}}/again || {{ touch {{folder}}/again; false; }}
    retryPolicy: {{limit: 2, intervalSec: 0}}
  - {{name: fails, command: 'false', continueOn: {{failure: true}}}}
  - {{name: skipped, command: 'true', preconditions: [{{condition: "false"}}], continueOn: {{skipped: true}}}}
  - {{name: called, call: low, params: 'P="${{OUT}}"'}}
  - {{name: stored, call: stored}}
  - {{name: elsewhere, call: selected}}
  - {{name: many, call: low, parallel: {{items: [1, 2, 3]}}}}
---
name: low
params: P=1
secrets: [{{name: LOW, provider: file, key: {{secret}}}}]
steps: [{{name: a, command: 'echo "$LOW"', output: O}}]
---
name: selected
{SELECTOR}
steps: [{{name: a, command: 'true'}}]
"""
FAILING = f"{SELECTOR}steps: [{{name: a, command: 'false'}}]\n"
# Nothing listens on this port, so that a worker stores that the mail could not be sent.
MAILED = (
    f"smtp: {{host: 127.0.0.1, port: 9}}\nmailOn: {{failure: true}}\nerrorMail: {{from: a@b.c, to: d@e.f}}\n{FAILING}"
)
LONG = f"{SELECTOR}steps: [{{name: a, command: 'while [ ! -e {{folder}}/go ]; do sleep 0.05; done'}}]\n"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def server(postgres: Cluster, tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path / "home", postgres.make_database(), log=tmp_path / "server.log")
    execute(program.database_url, f"DROP ROLE IF EXISTS {ROLE}", f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    try:
        yield program.start()
    finally:
        conftest.end(program)
        execute(program.database_url, f"DROP OWNED BY {ROLE}")
    assert invariants.find_violations(program.database_url) == []


@pytest.fixture
def worker_url(server: Program) -> str:
    done = run_command(server.database_url, "worker-role", ROLE)
    assert (done.returncode, done.stderr) == (0, "")
    return make_url(server.database_url).set(username=ROLE, password=PASSWORD).render_as_string(hide_password=False)


@pytest.fixture
def workers(server: Program, worker_url: str, tmp_path: Path) -> Iterator[list[WorkerProgram]]:
    made = [
        WorkerProgram(server.home, worker_url, ["--label=gpu=true"], log=tmp_path / f"worker-{number}.log")
        for number in range(2)
    ]
    yield [worker.start() for worker in made]
    for worker in made:
        conftest.end(worker)


def run_command(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "dagbook", "db", *words, "--database-url", url]
    return subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)


def execute(url: str, *statements: str) -> None:
    for statement in statements:
        store.execute(url, statement)


def refusal(url: str, statement: str) -> str:
    """Return what PostgreSQL says to a statement; "" if it does it, and then it is rolled back."""

    async def asked() -> str:
        engine = create_async_engine(parse_url(url), poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                await connection.exec_driver_sql(statement)
        except DBAPIError as error:
            return str(error.orig)
        finally:
            await engine.dispose()
        return ""

    return asyncio.run(asked())


def test_a_worker_lives_its_whole_life_with_that_role(
    server: Program, workers: Sequence[WorkerProgram], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept-to-itself")
    life = LIFE.replace("{secret}", str(secret)).replace("{folder}", str(tmp_path))
    server.api.store("stored", "steps: [{name: a, command: 'true'}]\n")
    server.api.start(life, run_id="whole", name="life")
    labels = {node["step"]["name"]: node["statusLabel"] for node in server.api.ended("whole", name="life")["nodes"]}
    assert labels == dict.fromkeys(labels, "succeeded") | {"fails": "failed", "skipped": "skipped"}
    summaries = server.api.client.get("/dag-runs/life/whole/summary").json()["summaries"]
    assert [each["text"] for each in summaries if each["step"] == "print"] == ["has *******\n"]
    server.api.start(MAILED, run_id="again", name="failing")
    server.api.ended("again", name="failing")
    told = "/dag-runs/failing/again/alerts"
    wait_for("a try", lambda: "attempts" in server.api.client.get(told).json()["receipts"][0])
    server.api.client.post("/dag-runs/failing/again/retry", json={"dagRunId": "again"}).raise_for_status()
    assert server.api.ended("again", name="failing")["statusLabel"] == "failed"
    for run_id in ("stopped", "adopted"):
        server.api.start(LONG.replace("{folder}", str(tmp_path)), run_id=run_id, name=run_id)
        wait_until_running(server, run_id)
    server.api.stop("stopped", name="stopped")
    assert server.api.ended("stopped", name="stopped")["statusLabel"] == "aborted"
    for worker in workers:  # steps outlive their workers, and the next one adopts their runs
        worker.kill()
        worker.start()
    (tmp_path / "go").touch()
    assert server.api.ended("adopted", name="adopted")["statusLabel"] == "succeeded"
    assert workers[0].ask_health()[0] == 0
    for worker in workers:
        worker.terminate()
        said = worker.output.read_text()
        assert [line for line in said.splitlines() if "level=error" in line or "privilege" in line] == []
    actions = [entry["object"] for entry in secret_reads(server)]
    assert len(actions) == 1 + 4  # the run, and the called ones with secrets, which the worker has started


@pytest.mark.usefixtures("workers")
def test_the_end_of_a_run_on_a_worker_is_routed_by_a_server_at_once(server: Program) -> None:
    client = server.api.client
    channel = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/"}
    rule = {"name": "all", "match": ["*"], "on": ["failed", "succeeded"], "to": ["hook"]}
    for path, body in (("/alert-channels", channel), ("/alert-rules", rule)):
        client.post(path, json=body).raise_for_status()
    for run_id, spec in (("bad", FAILING), ("good", FAILING.replace("'false'", "'true'"))):
        server.api.start(spec, run_id=run_id, name=run_id)
        server.api.ended(run_id, name=run_id)

    def kinds() -> set[str]:
        return {each["kind"] for each in client.get("/alerts").raise_for_status().json()["alerts"]}

    wait_for("two alerts", lambda: kinds() == {"failed", "succeeded"})
    late = "SELECT 1 FROM alert_events WHERE routed_at - at > interval '3 s'"  # a server looks every 5 s by itself
    assert store.query(server.database_url, late) == []


@pytest.mark.usefixtures("workers")
def test_the_end_of_a_run_on_a_worker_starts_the_run_that_follows_it_at_once(server: Program) -> None:
    client = server.api.client
    for name, spec in (("load", FAILING), ("report", "steps: []\n")):
        client.post("/dags", json={"name": name, "spec": spec}).raise_for_status()
    settings = {"after": "load", "on": ["failed"]}
    trigger = {"name": "report", "dag": "report", "kind": "after", "settings": settings}
    client.post("/triggers", json=trigger).raise_for_status()
    client.post("/dags/load/start", json={}).raise_for_status()

    def states() -> list[str]:
        return [each["state"] for each in client.get("/triggers/report/events").raise_for_status().json()["events"]]

    wait_for("a run that follows", lambda: states() == ["started"])
    late = "SELECT 1 FROM trigger_events WHERE settled_at - received_at > interval '3 s'"  # a server looks every 5 s
    assert store.query(server.database_url, late) == []


def wait_until_running(server: Program, name: str) -> None:
    wait_for("a running step", lambda: server.api.run(name, name=name)["statusLabel"] == "running")


def secret_reads(server: Program) -> list[dict[str, str]]:
    answer = server.api.client.get("/audit", params={"action": "secret.read", "limit": 1000}).raise_for_status()
    found: list[dict[str, str]] = answer.json()["entries"]
    return found


_ENTRY = "INSERT INTO audit (at, via, address, request_id, action, kind, name, outcome{more}) VALUES (now(), {values})"
_REFUSED = (
    "SELECT password_hash FROM users",
    "SELECT * FROM users",
    "SELECT role FROM grants",
    "SELECT 1 FROM tokens",
    "SELECT 1 FROM audit",
    "SELECT 1 FROM audit_seals",
    "UPDATE users SET role = 'admin'",
    "DELETE FROM tokens",
    "DELETE FROM audit",
    "UPDATE audit SET actor = 'x'",
    "TRUNCATE audit",
    "DELETE FROM audit_seals",
    "UPDATE dags SET file_name = 'x'",
    "DELETE FROM dags",
    "DELETE FROM runs",
    "DELETE FROM run_events",
    "UPDATE definitions SET spec = 'x'",
    "SELECT sealed FROM alert_channels",
    "SELECT settings FROM alert_channels",
    "SELECT match FROM alert_rules",
    "UPDATE alert_rules SET enabled = false",
    "SELECT data FROM alert_events",
    "UPDATE alert_events SET outcome = 'x'",
    "DELETE FROM alert_events",
    "SELECT attempts FROM alert_deliveries",
    "SELECT channel FROM alert_deliveries",
    "UPDATE alert_deliveries SET channel_id = 1",
    "DELETE FROM alert_deliveries",
    "UPDATE alerts SET closed_at = now()",
    "SELECT sealed FROM triggers",
    "UPDATE triggers SET upstream_id = NULL",
    "SELECT body FROM trigger_events",
    "UPDATE trigger_events SET state = 'dead'",
    "DELETE FROM trigger_events",
    "CREATE TABLE mine (a int)",
    "ALTER TABLE audit DISABLE TRIGGER ALL",
    "SELECT setval('audit_id_seq', 1)",
    _ENTRY.format(more="", values="'none', '', '', 'run.start', 'run', 'a/b', 'done'"),
    _ENTRY.format(more="", values="'login', '', '', 'secret.read', 'run', 'a/b', 'done'"),
    _ENTRY.format(more=", actor", values="'none', '', '', 'secret.read', 'run', 'a/b', 'done', 'ann'"),
)


def test_that_role_cannot_touch_users_tokens_audit_and_what_it_does_not_execute(worker_url: str) -> None:
    done = [statement for statement in _REFUSED if not refusal(worker_url, statement)]
    assert done == []
    entry = _ENTRY.format(more="", values="'none', '', '', 'secret.read', 'run', 'a/b', 'done'")
    assert refusal(worker_url, entry) == ""


_MAIL = (
    "INSERT INTO alert_deliveries (id, channel, type, run_id, attempt, mail, purpose, number, created_at, due_at, "
    "status, lease_owner, lease_until, attempts) VALUES ('m', 'host', 'mail', NULL, 1, 'failure', 'run_mail', 0, "
    "now(), now(), 'pending', 'w', now(), '[]') ON CONFLICT DO NOTHING"
)


def test_that_role_stores_and_sends_the_mails_of_definitions(worker_url: str) -> None:
    receipt = (
        "UPDATE alert_deliveries SET status = 'sent', sent_at = now(), tries = tries + 1, attempts = '[]', "
        "due_at = now(), reason = NULL, lease_owner = NULL, lease_until = NULL "
        "WHERE id = 'm' AND purpose = 'run_mail' AND status = 'pending' AND lease_owner = 'w'"
    )
    assert [refusal(worker_url, statement) for statement in (_MAIL, receipt)] == ["", ""]


def test_a_worker_whose_role_lacks_a_right_does_not_start_and_names_the_command(
    server: Program, worker_url: str
) -> None:
    for right in ("INSERT ON alert_events", "UPDATE (attempts) ON alert_deliveries", "SELECT ON runs"):
        execute(server.database_url, f"REVOKE {right} FROM {ROLE}")
    command = [
        sys.executable,
        "-P",
        "-m",
        "dagbook",
        "worker",
        "--home",
        str(server.home),
        "--database-url",
        worker_url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: the role {ROLE} lacks rights on alert_deliveries, alert_events, runs; give it those of this version "
        f"with the role that owns the tables: dagbook db worker-role {ROLE}"
    )


def test_that_role_finds_out_what_a_run_may_call(server: Program, worker_url: str) -> None:
    run_id = server.api.start("steps: [{name: a, command: 'true'}]\n")
    server.api.ended(run_id)
    execute(
        server.database_url,
        "INSERT INTO users (id, username, role, scope, password_hash, generation, created_at, updated_at) "
        "VALUES ('u', 'ann', 'viewer', 'granted', '', 1, now(), now()), "
        "('b', 'boss', 'admin', 'all', '', 1, now(), now())",
        "INSERT INTO tokens (id, user_id, name, hash, role, created_at) "
        "VALUES ('t', 'u', 'ci', repeat('a', 64), 'manager', now())",
        "INSERT INTO user_groups (id, name, created_at) VALUES ('g', 'night', now())",
        "INSERT INTO user_group_members (group_id, user_id, by_claim) VALUES ('g', 'u', false)",
        "INSERT INTO grants (id, subject, token_id, role, pattern, created_at) "
        "VALUES ('g1', 'token:t', 't', 'manager', 'etl-*', now())",
        "INSERT INTO dag_access (dag_name, subject, rank) VALUES ('etl-a', 'group:g', 1), ('pay', 'group:g', 1), "
        "('etl-b', 'group:g', 0)",
        "UPDATE run_attempts SET principal_id = 'u', principal_token_id = 't'",
    )

    async def ask() -> list[str]:
        database = await Database.open(worker_url)
        try:
            (root,) = await database.read(lambda connection: list(connection.scalars(select(Run.id))))
            names = ("etl-a", "etl-b", "pay", "other")
            return await database.read(lambda connection: [n for n in names if may_call(connection, root, [n])])
        finally:
            await database.close()

    assert asyncio.run(ask()) == ["etl-a"]


def test_a_role_that_would_have_more_is_refused(server: Program) -> None:
    owner = make_url(server.database_url).username
    cases = {
        "other": "there is no role other; make it first: CREATE ROLE other LOGIN PASSWORD '…'",
        str(owner): f"the role {owner} is a superuser or owns the tables: nothing can be kept from it",
        "a-b": "'a-b' is not the name of a role; write letters, digits and _, at most 63",
    }
    for role, says in cases.items():
        done = run_command(server.database_url, "worker-role", role)
        assert (done.returncode, done.stderr) == (1, f"Error: {says}\n")
    execute(server.database_url, "GRANT SELECT ON users TO PUBLIC")
    done = run_command(server.database_url, "worker-role", ROLE)
    assert (done.returncode, "has rights on users by PUBLIC" in done.stderr) == (1, True)
