"""A server with people, DAGs and runs, for looking at."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.process.program import FINAL, Program
from tests.process.waiting import wait_for

ADMIN, PASSWORD = "admin", "correct horse battery"
ROLES = ("admin", "manager", "operator", "viewer")
HOSTILE = (
    "end",
    "graph",
    "quote \" and ' quote",
    "<script>alert(1)</script>",
    "emoji 😀 step",
    "x" * 40,
    "in/out //",
    "what? #1 at 100%2F",
    "..",
)
SETTINGS = {
    "auth_mode": "builtin",
    "auth_token_secret": "a secret of the tests that is long enough",
    "auth_admin_username": ADMIN,
    "auth_admin_password": PASSWORD,
    "auth_bcrypt_cost": "4",
    "auth_logins_per_minute": "100000",
    "queues": "small=1",
}


class Site:
    """The server, with the tokens of somebody of each role and the cookies of their browsers."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.address = str(program.api.client.base_url).removesuffix("/api/v2/").removesuffix("/api/v2")
        self.tokens: dict[str, str] = {}
        self.cookies: dict[str, str] = {}
        self.client = httpx.Client(base_url=f"{self.address}/api/v2", timeout=45)

    def log_in(self, name: str, password: str = PASSWORD) -> str:
        answer = self.client.post("/auth/login", json={"username": name, "password": password})
        assert answer.status_code == httpx.codes.OK, answer.text
        return str(answer.json()["token"])

    def browse(self, name: str, password: str = PASSWORD) -> str:
        """Log in as a browser does; returns the cookie, its name and value."""
        answer = self.client.post("/auth/session", json={"username": name, "password": password})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        self.client.cookies.clear()
        return str(answer.headers["set-cookie"].partition(";")[0])

    def add_people(self) -> None:
        self.tokens["admin"], self.cookies["admin"] = self.log_in(ADMIN), self.browse(ADMIN)
        self.client.headers["Authorization"] = f"Bearer {self.tokens['admin']}"
        for role in ROLES[1:]:
            self.send("POST", "/users", {"username": role, "password": PASSWORD, "role": role})
            self.tokens[role], self.cookies[role] = self.log_in(role), self.browse(role)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.request(method, path, json=body)
        assert answer.status_code < 400, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def save(self, name: str, spec: str) -> None:
        self.send("POST", "/dags", {"name": name, "spec": spec})

    def start(self, name: str, **body: Any) -> str:
        return str(self.send("POST", f"/dags/{name}/start", body)["dagRunId"])

    def run(self, name: str, **body: Any) -> str:
        """Start a run of a DAG and wait for its end."""
        run_id = self.start(name, **body)
        wait_for(f"the end of {name}/{run_id}", lambda: self.status(name, run_id) in FINAL)
        return run_id

    def status(self, name: str, run_id: str) -> str:
        return str(self.send("GET", f"/dag-runs/{name}/{run_id}")["dagRunDetails"]["statusLabel"])


def fill(site: Site) -> None:
    """Make one of everything that a page may show."""
    site.add_people()
    hostile = [f"  - name: {_quoted(name)}\n    command: echo hello\n" for name in HOSTILE]
    site.save("hostile", "type: graph\nsteps:\n" + "".join(hostile))
    site.save(
        "etl",
        "schedule: '0 3 * * *'\ntags: [nightly, sales]\nparams: DAY=monday LEVEL=1\ndescription: Loads what was sold\n"
        "steps:\n  - name: load\n    command: echo loading ${DAY}\n"
        "  - name: check\n    command: sh -c 'echo the disk is full >&2; exit 3'\n    depends: load\n"
        "  - name: report\n    command: echo done\n    depends: check\n",
    )
    site.save("good", "tags: [nightly]\nsteps:\n  - name: one\n    command: seq 2000\n")
    site.save("good2", "steps: []\n")
    site.save(
        "caller",
        "steps:\n  - {name: each, call: child, parallel: [a, b]}\n"
        "---\nname: child\nsteps:\n  - {name: work, command: echo $1}\n",
    )
    site.save("sleeper", "queue: small\nsteps:\n  - {name: sleep, command: sleep 7200}\n")
    _add_source(site)
    _add_alerts(site)
    _add_trigger(site)
    site.send("PUT", "/dags/good/spec", {"spec": "tags: [nightly]\nsteps:\n  - name: one\n    command: seq 3000\n"})
    for name in ("hostile", "etl", "good", "good", "caller"):
        site.run(name)
    sleeping = site.start("sleeper")
    wait_for(
        "a run that sleeps", lambda: site.status("sleeper", sleeping) == "running"
    )  # so that nothing changes later, nor after this:
    site.send("POST", "/dags/sleeper/enqueue", {})
    wait_for("the reason why a run waits, which pages hear of", lambda: _reasons(site))


def _add_source(site: Site) -> None:
    """Add a source with a DAG whose file is broken by now, one whose file is gone, and a file without a DAG."""
    folder = site.program.home / "sourced"
    folder.mkdir()
    for name in ("sourced", "removed"):
        (folder / f"{name}.yaml").write_text("steps:\n  - name: one\n    command: 'true'\n")
    site.send("POST", "/sources", {"name": "team", "place": str(folder)})
    site.send("POST", "/sources/team/sync", {})
    (folder / "sourced.yaml").write_text("steps:\n  - name: one\n    comand: 'true'\n")
    (folder / "removed.yaml").unlink()
    (folder / "never.yaml").write_text("steps: [")
    site.send("POST", "/sources/team/sync", {})


def _add_alerts(site: Site) -> None:
    """Let the failure of a DAG open an alert, which stays as it is: nothing is sent to a disabled channel."""
    channel = {"name": "ops", "type": "webhook", "url": "http://127.0.0.1:9/hook", "enabled": False}
    site.send("POST", "/alert-channels", channel)
    site.send("POST", "/alert-rules", {"name": "loads", "match": ["etl", "tag:none"], "on": ["failed"], "to": ["ops"]})


def _add_trigger(site: Site) -> None:
    """Let a webhook have an event that is filtered, so that it starts nothing."""
    added = {"name": "push", "dag": "good", "scheme": "token", "secret": "a token of the sender"}
    site.send("POST", "/triggers", added | {"filters": ["header:X-Kind exists"], "params": {"DAY": "json:/day"}})
    sent = {"Authorization": f"Bearer {added['secret']}"}
    answer = httpx.post(f"{site.address}/api/v2/hooks/push", json={"day": "monday"}, headers=sent)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text


def _reasons(site: Site) -> list[str]:
    with closing(sqlite3.connect(site.program.database_url.removeprefix("sqlite:///"))) as file:
        return [reason for (reason,) in file.execute("SELECT reason FROM queue_entries WHERE reason IS NOT NULL")]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def open_site(home: Path) -> Site:
    return Site(Program(home, settings=SETTINGS).start())
