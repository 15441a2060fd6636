"""``dagbook users``, ``groups``, ``grants`` and ``access`` at a remote server, in words and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.app.program import CommandResult
from tests.app.remote_server import RemoteDagbook

Command = Callable[..., CommandResult]


@pytest.fixture
def ask(at: Command) -> Callable[..., Any]:
    """Run a command with --json and return what it printed; several lines are a list."""

    def run(*words: str) -> Any:
        said = at(*words, "--json")
        assert said.status == 0, said.err
        values = [json.loads(line) for line in said.out.splitlines()]
        return values[0] if len(values) == 1 else values

    return run


def _add_user(at: Command, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("battery horse staple\n"))
    assert at("users", "add", name, "--role", "viewer").out == f"created user {name} with role viewer\n"


def test_users_are_changed(at: Command, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _add_user(at, monkeypatch, "ann")
    assert at("users", "role", "ann", "operator").out == "ann now has the role operator\n"
    assert at("users", "disable", "ann").out == "ann is disabled\n"
    assert "operator (disabled)" in at("users", "list").out
    assert at("users", "enable", "ann").out == "ann is enabled\n"
    assert at("users", "scope", "ann", "granted").out == "ann sees only what is granted\n"
    assert {user["username"] for user in ask("users", "list")["users"]} == {"root", "ann"}
    monkeypatch.setattr("sys.stdin", io.StringIO("another horse staple\n"))
    assert ask("users", "passwd", "ann") == {"username": "ann"}
    assert ask("tokens", "add", "root", "ci", "--role", "viewer", "--days", "2")["details"]["name"] == "ci"
    assert "until" in at("tokens", "list").out
    assert ask("tokens", "revoke", "root", "ci") == {"username": "root", "revoked": "ci"}
    assert "revoked" in at("tokens", "list").out
    assert ask("users", "remove", "ann") == {"deleted": "ann"}
    assert at("users", "role", "ann", "viewer").err == (
        "Error: there is no user named 'ann'; `dagbook users list` shows them\n"
    )


def test_groups_have_members_and_are_granted_dags(
    at: Command, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, remote: RemoteDagbook
) -> None:
    remote.request("POST", "/dags", json={"name": "etl-load", "spec": "steps: [{name: a, command: 'true'}]\n"})
    for name in ("bob", "eve"):
        _add_user(at, monkeypatch, name)
        at("users", "scope", name, "granted")
    assert at("access", "user", "bob").out == "bob sees no DAG; `dagbook grants add` grants some\n"
    assert ask("groups", "add", "night", "--claim", "groups=night")["name"] == "night"
    assert at("groups", "join", "night", "bob", "eve").out == "bob is a member of night\neve is a member of night\n"
    assert ask("groups", "leave", "night", "eve") == {"group": "night", "left": "eve"}
    assert at("groups", "show", "night").out.splitlines()[1].split() == ["bob", "hand"]
    assert at("groups", "list").out.splitlines()[1].split()[:3] == ["night", "groups=night", "1"]
    added = ask("grants", "add", "operator", "--group", "night", "--dags", "etl-*")
    assert at("grants", "list").out.splitlines()[1].split()[:4] == ["group", "night", "operator", "etl-*"]
    assert at("access", "user", "bob").out.splitlines()[1].split() == ["etl-load", "operator"]
    assert ask("access", "user", "bob") == {"scope": "granted", "dags": [{"name": "etl-load", "role": "operator"}]}
    assert "group night" in at("access", "dag", "etl-load").out
    assert ask("access", "dag", "etl-load")["grants"][0]["id"] == added["id"]
    assert ask("access", "user", "root") == {"scope": "all", "role": "admin"}
    assert ask("grants", "remove", added["id"]) == {"deleted": added["id"]}
    assert ask("groups", "remove", "night") == {"deleted": "night"}
    assert "there is no group named 'night'" in at("groups", "show", "night").err


def test_the_account_of_a_dag_is_shown(at: Command, ask: Callable[..., Any], remote: RemoteDagbook) -> None:
    remote.request("POST", "/dags", json={"name": "as", "spec": "steps: [{name: a, command: 'true'}]\n"})
    assert at("dag", "run-as", "as").out == "the account of the server\n"
    assert ask("dag", "run-as", "as") == {"account": "", "effective": ""}
    assert ask("dag", "settings", "as")["catchup"] == "none"
    assert ask("dag", "history", "as")["revisions"][0]["number"] == 1
    assert ask("dag", "show", "as")["number"] == 1


def test_what_else_is_listed_is_printed_as_json(at: Command, ask: Callable[..., Any]) -> None:
    assert ask("queue", "list") == {"queues": []}
    assert ask("queue", "pause", "night")["paused"]["by"] == "root"
    assert ask("queue", "show", "night")["items"] == []
    assert "paused" not in (ask("queue", "resume", "night") or {})
    assert ask("sessions", "list")["sessions"][0]["username"] == "root"
    assert ask("cleanup", "--older-than", "30d", "--dry-run")["plan"]["runs"] == 0
    assert ask("audit", "list", "--limit", "1")["id"] > 1
    assert ask("audit", "prune", "--before", "2000-01-01") == {"entries": 0, "upTo": 0, "dryRun": True}
    assert at("audit", "list", "--limit", "1").out.startswith("ENTRY")


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("db", "current"), {"revision", "newest"}),
        (("db", "check"), {"differences"}),
        (("db", "upgrade"), {"revision"}),
        (("doctor",), {"findings", "storage"}),
        (("audit", "verify"), {"verified", "copy"}),
    ],
)
def test_commands_of_this_machine_print_json_too(command: Command, words: tuple[str, ...], keys: set[str]) -> None:
    said = command(*words, "--json")
    assert said.status == 0, said.err
    assert keys <= json.loads(said.out).keys()


def test_definitions_are_checked_as_json(command: Command, tmp_path: Any) -> None:
    (tmp_path / "bad.yaml").write_text("steps: 5\n")
    (tmp_path / "good.yaml").write_text("steps: [{name: a, command: 'true'}]\n")
    said = command("validate", tmp_path / "bad.yaml", tmp_path / "good.yaml", tmp_path / "none.yaml", "--json")
    bad, good, none = (json.loads(line) for line in said.out.splitlines())
    assert (said.status, said.err) == (1, "")
    assert (bad["valid"], bad["problems"][0]["path"], bad["problems"][0]["line"]) == (False, "steps", 1)
    assert (good["valid"], good["problems"], none["valid"]) == (True, [], False)
    found = json.loads(command("dry", tmp_path / "good.yaml", "--json").out)
    assert len(found["runs"]) == 1
    ran = json.loads(command("run", tmp_path / "good.yaml", "-r", "r1", "--json").out)["dagRunDetails"]
    assert (ran["dagRunId"], ran["statusLabel"]) == ("r1", "succeeded")
    stopped = json.loads(command("stop", "good", "r1", "--json").out)
    assert stopped == {"name": "good", "dagRunId": "r1", "status": 4, "statusLabel": "succeeded"}
