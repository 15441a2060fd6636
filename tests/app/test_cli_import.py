"""``dagbook import``: a home of Dagu 1.x, whole, damaged, interrupted, and again."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import random
import shutil
import sqlite3
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as sql

from dagbook.db.database import Database, ReadConnection
from dagbook.db.sqlite.lock_file import acquire
from dagbook.transfer import storing
from dagbook.transfer.conversion import converter
from dagbook.transfer.home import HomeSource
from tests.app.program import CommandLine, CommandResult
from tests.conftest import Copies
from tests.dagu_home import BCRYPT, SPEC, START, DaguHome, node, succeeded, text, waiting_node
from tests.waiting import wait_until

Command = Callable[..., CommandResult]
KEEP = "--retention-days=-1"
_TABLES = ("runs", "run_attempts", "run_inputs", "nodes", "run_events", "log_chunks", "run_tags", "run_params")


@pytest.fixture
def source(tmp_path: Path) -> DaguHome:
    return DaguHome(tmp_path / "old home")


@pytest.fixture
def bring(command: Command, source: DaguHome) -> Callable[..., dict[str, Any]]:
    """Import the source into the home of the command; returns the report."""

    def run(*options: str, status: int = 0) -> dict[str, Any]:
        said = command("import", source.path, "--yes", "--json", KEEP, *options)
        assert (said.status, said.err) == (status, ""), said.out
        report: dict[str, Any] = json.loads(said.out)
        return report

    return run


def _reasons(report: dict[str, Any]) -> dict[str, str]:
    return {finding["name"]: finding["reason"] for finding in report["findings"]}


def _complaints(said: CommandResult) -> list[str]:
    """Return what the doctor found, line by line."""
    return [line for line in said.out.splitlines() if line.startswith(("BROKEN", "        "))]


def _details(command: Command, name: str, run_id: str) -> dict[str, Any]:
    said = command("status", name, run_id, "--json")
    assert said.status == 0, said.err
    found: dict[str, Any] = json.loads(said.out)["dagRunDetails"]
    return found


def test_a_home_is_imported_with_everything_that_it_has(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source.definition("etl", suspended=True)
    source.definition("other", "steps: [{name: a, command: 'true'}]\n")
    (source.path / "base.yaml").write_text("env:\n  - BASE: yes\n")
    source.user("ann", "admin")
    source.webhook("etl", BCRYPT)
    one = node("one", stdout=source.log("etl/one.out", b"first\nsecond\n"), stderr=source.log("etl/one.err", b"bad\n"))
    source.run("etl", "run-1", succeeded([one, node("two")]))
    report = bring("--with-admins")
    names = ("definitions", "suspended", "base", "users", "webhooks", "runs")
    assert [report[name]["imported"] for name in names] == [2, 1, 1, 1, 1, 1]
    assert report["complete"]
    assert report["stored"] == {"subRuns": 0, "attempts": 1, "steps": 2, "logBytes": 17}
    dags = {dag["fileName"]: dag["suspended"] for dag in json.loads(command("dag", "list", "--json").out)["dags"]}
    assert dags == {"etl": True, "other": False}
    assert (tmp_path / "base.yaml").read_text() == "env:\n  - BASE: yes\n"
    found = _details(command, "etl", "run-1")
    assert (found["statusLabel"], found["startedAt"], found["params"]) == ("succeeded", text(START), "A=1")
    assert (found["trigger"], found["revision"]) == ("import", 1)
    assert [item["statusLabel"] for item in found["nodes"]] == ["succeeded", "succeeded"]
    lines = [json.loads(line)["text"] for line in command("logs", "etl", "run-1", "--json").out.splitlines()]
    assert "".join(lines) == "first\nsecond\nbad\n"
    revisions = json.loads(command("dag", "history", "etl", "--json").out)["revisions"]
    assert [revision["author"].split()[0] for revision in revisions] == ["import"]
    assert _complaints(command("doctor")) == []


def test_a_retried_run_has_its_attempts_and_the_output_that_the_last_one_kept(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]]
) -> None:
    kept = node("one", stdout=source.log("a.out", b"kept\n"))
    failed = node("two", 2, stdout=source.log("b.out", b"no\n"), error="failed: exit status 3", doneCount=1)
    again = node("two", at=START + timedelta(minutes=1), stdout=source.log("c.out", b"yes\n"), retryCount=1)
    first = succeeded([kept, failed], status=2)
    source.run("etl", "run-1", first, succeeded([kept, again], at=START + timedelta(minutes=1)))
    assert bring()["stored"]["attempts"] == 2
    found = _details(command, "etl", "run-1")
    assert (found["attempt"], found["statusLabel"]) == (2, "succeeded")
    assert command("logs", "etl", "run-1", "--step", "one").out.endswith("kept\n")
    assert command("logs", "etl", "run-1", "--step", "two").out.endswith("yes\n")
    assert _complaints(command("doctor")) == []


def test_sub_runs_are_imported_below_their_callers(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]]
) -> None:
    spec = "steps:\n  - name: call\n    call: child\n"
    child = "steps:\n  - name: deeper\n    call: leaf\n"
    call = node("call", children=[{"dagRunId": "sub1", "params": "X=1"}])
    call["step"] = {"name": "call", "childDag": {"name": "child"}}
    deeper = node("deeper", children=[{"dagRunId": "sub2"}])
    deeper["step"] = {"name": "deeper", "childDag": {"name": "leaf"}}
    root = source.run("top", "run-1", succeeded([call]), spec=spec)
    names: dict[str, Any] = {"root": {"name": "top", "id": "run-1"}}
    source.sub_run(
        root, "sub1", succeeded([deeper], name="child", parent={"name": "top", "id": "run-1"}, **names), spec=child
    )
    source.sub_run(root, "sub2", succeeded(name="leaf", parent={"name": "child", "id": "sub1"}, **names))
    assert bring()["stored"] == {"subRuns": 2, "attempts": 3, "steps": 4, "logBytes": 0}
    assert _details(command, "top", "run-1")["nodes"][0]["subRuns"] == [{"dagRunId": "sub1", "params": "X=1"}]
    assert _complaints(command("doctor")) == []


def test_runs_that_had_not_ended_end_with_the_reason_that_they_were_imported(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    waiting = [waiting_node("one"), waiting_node("two")]
    source.run("etl", "queued", succeeded(waiting, status=5, startedAt="", finishedAt=""))
    source.queue_item("slow", "etl", "queued")
    source.run("named.inside", "dotted", succeeded(waiting, status=5, startedAt="", finishedAt=""))
    source.queue_item("slow", "named.inside", "dotted")
    running = [node("one"), node("two", 1, at=START + timedelta(seconds=1), finishedAt="")]
    source.run("etl", "running", succeeded(running, status=1, finishedAt=""))
    report = bring()
    assert report["runs"]["imported"] == 3
    with closing(sqlite3.connect(tmp_path / "dagbook.sqlite3")) as connection:
        queues = dict(connection.execute("SELECT run_id, queue FROM runs").fetchall())
    assert queues == {"queued": "slow", "dotted": "slow", "running": "etl"}
    queued, ran = (_details(command, "etl", run) for run in ("queued", "running"))
    assert (queued["statusLabel"], [item["statusLabel"] for item in queued["nodes"]]) == (
        "aborted",
        ["not_started"] * 2,
    )
    assert (ran["statusLabel"], ran["nodes"][1]["statusLabel"]) == ("failed", "failed")
    assert ran["nodes"][1]["error"] == "imported while it was running: how it ended is not known here"
    assert [finding["outcome"] for finding in report["findings"]] == ["changed"] * 3
    assert "imported while it waited" in command("why", "etl", "queued").out
    assert _complaints(command("doctor")) == []


def test_a_repeated_import_stores_nothing_twice_and_names_what_differs(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]]
) -> None:
    source.definition("etl")
    source.definition("mine")
    source.user("ann", "admin")
    source.run("etl", "run-1")
    bring("--with-admins")
    again = bring()
    assert [again[name]["present"] for name in ("definitions", "users", "runs")] == [2, 1, 1]
    assert again["complete"]
    (source.path / "edited.yaml").write_text("steps: [{name: here, command: 'true'}]\n")
    assert command("dag", "save", source.path / "edited.yaml", "--name", "mine").status == 0
    source.definition("mine", SPEC.replace("echo one", "echo 1"))
    source.definition("etl", SPEC.replace("echo one", "echo 1"))
    source.user("ann", role="manager")
    later = succeeded(at=START + timedelta(minutes=1))
    source.attempt(
        source.run_folder("etl", "run-1"),
        {"name": "etl", "dagRunId": "run-1", **later},
        START + timedelta(minutes=1),
        SPEC,
    )
    differing = bring(status=1)
    assert differing["definitions"] | {"found": 0} == {
        "found": 0,
        "imported": 1,
        "present": 0,
        "differing": 1,
        "leftOut": 0,
    }
    reasons = _reasons(differing)
    assert reasons["etl/run-1"] == "its number of attempts differs: here 1, there 2"
    assert "is not replaced" in reasons["mine"]
    assert "is not changed" in reasons["ann"]


def test_the_report_names_each_user_and_admins_need_an_option(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]]
) -> None:
    source.user("ann")
    source.user("off", "viewer", is_disabled=True)
    source.user("boss", "admin")
    refused = bring(status=1)
    assert (refused["users"]["leftOut"], refused["findings"][0]["name"]) == (3, "boss")
    assert all("--with-admins" in reason for reason in _reasons(refused).values())
    assert bring("--dry-run", "--with-admins")["users"]["imported"] == 3
    assert _roles(command) == {}
    report = bring("--with-admins")
    assert [(one["name"], one["outcome"], one["reason"]) for one in report["findings"]] == [
        ("boss", "imported", "admin, with the password"),
        ("ann", "imported", "operator, with the password"),
        ("off", "imported", "viewer, disabled"),
    ]
    source.user("support", "admin")
    source.user("eve")
    said = command("import", source.path, "--yes", KEEP)
    assert f"imported: user eve ({source.path}/data/users/eve.json): operator, with the password\n" in said.out
    assert f"left out: user support ({source.path}/data/users/support.json): admins are imported with" in said.out
    assert _roles(command) == {"ann": "operator", "off": "viewer", "boss": "admin", "eve": "operator"}


def test_a_password_hash_that_would_stop_logins_is_not_imported(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]]
) -> None:
    source.user("fast", password_hash=BCRYPT.replace("$04$", "$14$"))
    source.user("slow", password_hash=BCRYPT.replace("$04$", "$15$"))
    source.user("slowest", password_hash=BCRYPT.replace("$04$", "$31$"))
    source.user("none", password_hash=BCRYPT.replace("$04$", "$32$"))
    source.user("boss", "admin")
    reasons = _reasons(bring("--with-admins", status=1))
    assert reasons["fast"] == "operator, with the password"
    for name in ("slow", "slowest"):
        assert reasons[name].startswith("operator, without password: its bcrypt hash costs more than 14")
    assert "not a bcrypt hash" in reasons["none"]
    assert set(_roles(command)) == {"boss", "fast", "slow", "slowest"}
    assert bring(status=1)["users"]["present"] == 4


def test_names_of_users_that_look_like_others_are_left_out(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]]
) -> None:
    names = ("adm\u200bin", "a\nb", "\x1b[2J", "admin ", "\u202eann", "ann\u00ad")
    for number, name in enumerate(names):
        source.user(str(number), username=name)
    source.user("Zoë 東京", "admin")
    report = bring("--with-admins", status=1)
    assert _roles(command) == {"Zoë 東京": "admin"}
    reasons = [one["reason"] for one in report["findings"] if one["outcome"] == "left_out"]
    assert (len(reasons), "username: 'adm\\u200bin' is not a user name" in reasons[0]) == (len(names), True)


def _roles(command: Command) -> dict[str, str]:
    found = json.loads(command("users", "list", "--json").out)["users"]
    return {user["username"]: user["role"] for user in found}


def test_runs_that_want_the_same_key_are_all_imported(
    source: DaguHome, bring: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "key_of", lambda _, __: 1_000)
    for number in range(4):
        source.run("etl", f"run-{number}", at=START + timedelta(minutes=number))
    assert bring()["runs"]["imported"] == 4
    source.run("etl", "late", at=START + timedelta(hours=1))
    assert bring()["runs"] == {"found": 5, "imported": 1, "present": 4, "differing": 0, "leftOut": 0}


def _as_latest(home: DaguHome, folder: Path) -> None:
    shutil.rmtree(folder)
    home.run("etl", "latest")


DAMAGES: dict[str, tuple[Callable[[DaguHome, Path], object], str]] = {
    "cut status": (lambda _, folder: _rewrite(folder, "status.jsonl", lambda data: data[:40]), "damaged or cut"),
    "empty status": (lambda _, folder: _rewrite(folder, "status.jsonl", lambda _: b""), "it has no line"),
    "no status": (lambda _, folder: (_attempt(folder) / "status.jsonl").unlink(), "it is missing"),
    "unknown status": (lambda _, folder: _change(folder, status=99), "its status 99 is unknown"),
    "unknown status of a step": (
        lambda _, folder: _change(folder, nodes=[node("one", 42), node("two")]),
        "the status 42 of its step 'one' is unknown",
    ),
    "no time": (lambda _, folder: _change(folder, startedAt="yesterday"), "startedAt: 'yesterday' is not a time"),
    "of another run": (lambda _, folder: _change(folder, dagRunId="other"), "its status is that of another run"),
    "a bad name": (lambda _, folder: _change(folder, name="a/b"), "'a/b' is not a DAG name"),
    "a name without end": (lambda _, folder: _change(folder, name="x" * 100_000), "is not a DAG name"),
    "a reserved id": (_as_latest, "'latest' is reserved"),
    "a queue of many lines": (lambda home, _: home.queue_item("a\nb", "etl", "bad"), "is not a queue name"),
    "a count that no database has": (
        lambda _, folder: _change(folder, nodes=[node("one", retryCount=10**30), node("two")]),
        "$.nodes[0].retryCount",
    ),
    "two equal steps": (lambda _, folder: _change(folder, nodes=[node("one"), node("one")]), "have the same name"),
    "a type of another kind": (lambda _, folder: _change(folder, nodes=7), "damaged or cut"),
    "too large": (
        lambda _, folder: os.truncate(_attempt(folder) / "status.jsonl", 65 * 1024 * 1024),
        "more than 67,108,864",
    ),
    "a pipe": (lambda _, folder: _as_pipe(_attempt(folder) / "status.jsonl"), "it is not a regular file"),
    "a link out": (lambda home, folder: _as_link(home, _attempt(folder) / "status.jsonl"), "a link out of the home"),
    "a later one of its id": (
        lambda home, _: home.run("etl", "bad", at=START + timedelta(days=1)),
        "a later run has the same id",
    ),
    "a foreign folder": (lambda _, folder: folder.rename(folder.with_name("x")), "it is not the folder of a run"),
    "a foreign day": (lambda _, folder: folder.parent.rename(folder.parent.with_name("first")), "not a year, month"),
}


def _attempt(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.name.startswith("attempt_"))


def _rewrite(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = _attempt(folder) / name
    path.write_bytes(change(path.read_bytes()))


def _change(folder: Path, **fields: Any) -> None:
    _rewrite(folder, "status.jsonl", lambda data: json.dumps(json.loads(data) | fields).encode())


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _as_link(home: DaguHome, path: Path) -> None:
    outside = home.path.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_named_and_the_others_are_imported(
    source: DaguHome, bring: Callable[..., dict[str, Any]], damage: str
) -> None:
    source.run("good", "run-1")
    bad = source.run("etl", "bad")
    spoil, reason = DAMAGES[damage]
    spoil(source, bad)
    report = bring(status=1)
    left_out = [finding for finding in report["findings"] if finding["outcome"] == "left_out"]
    assert [reason in finding["reason"] for finding in left_out] == [True], left_out
    assert str(source.path) in left_out[0]["file"]
    assert len(left_out[0]["name"]) <= 300
    assert report["runs"]["imported"] >= 1


def test_a_run_without_its_definition_is_shown_with_its_recorded_steps(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]]
) -> None:
    folder = source.run("etl", "run-1")
    (_attempt(folder) / "dag.json").write_bytes(b'{"yaml')
    report = bring()
    assert [finding["outcome"] for finding in report["findings"]] == ["changed", "changed"]
    steps = [item["step"] for item in _details(command, "etl", "run-1")["nodes"]]
    assert [(step["name"], step["command"], step["args"]) for step in steps] == [
        ("one", "echo", ["one"]),
        ("two", "echo", ["two"]),
    ]
    assert _complaints(command("doctor")) == []


def test_output_outside_of_the_home_is_not_read_unless_its_folder_is_named(
    source: DaguHome, bring: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "one.out").write_text("secret\n")
    (source.path / "logs" / "link.out").symlink_to(outside / "one.out")
    nodes = [
        node("one", stdout=str(outside / "one.out")),
        node("two", stdout=str(source.path / "logs" / "link.out"), stderr=str(outside / "gone.err")),
    ]
    source.run("etl", "run-1", succeeded(nodes))
    report = bring(status=1)
    assert report["stored"]["logBytes"] == 0
    assert [finding["reason"] for finding in report["findings"]] == [
        *["it is outside of the home; name its folder with --log-dir"] * 2,
        "it is not there",
    ]
    source.run("etl", "run-2", succeeded([*nodes[:1], node("two")]))
    assert bring("--log-dir", str(outside))["stored"]["logBytes"] == 7


def test_definitions_that_cannot_be_stored_are_named(source: DaguHome, bring: Callable[..., dict[str, Any]]) -> None:
    source.definition("good")
    source.definition("broken", "steps: [{name: a, comand: x}]\n")
    source.definition("a name", SPEC)
    source.definition("empty", "# nothing\n")
    (source.path / "dags" / "latin.yaml").write_bytes(b"# \xe4\n")
    (source.path / "dags" / "below").mkdir()
    (source.path / "dags" / "below" / "deep.yaml").write_text(SPEC)
    (source.path / "suspend" / "gone.suspend").touch()
    report = bring(status=1)
    assert report["definitions"] == {"found": 6, "imported": 1, "present": 0, "differing": 0, "leftOut": 5}
    reasons = _reasons(report)
    assert set(reasons) == {"broken", "a name", "empty", "latin", "below/deep.yaml", "gone"}
    assert "did you mean command?" in reasons["broken"]


def test_a_dry_run_reports_and_writes_nothing(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source.definition("etl")
    (source.path / "base.yaml").write_text("env: [A: 1]\n")
    source.webhook("etl", BCRYPT)
    source.run("etl", "run-1")
    database, names = tmp_path / "dagbook.sqlite3", ("definitions", "base", "webhooks", "runs")
    database.unlink()
    report = bring("--dry-run")
    assert [report[name]["imported"] for name in names] == [1, 1, 1, 1]
    assert not database.exists()
    assert not (tmp_path / "base.yaml").exists()
    bring()
    assert [bring("--dry-run")[name]["present"] for name in names] == [1, 1, 1, 1]
    said = command("import", source.path, KEEP, "--dry-run")
    assert "runs: 1 found; 1 there already" in said.out


def test_an_import_asks_on_a_terminal_and_is_refused_elsewhere(command: Command, source: DaguHome) -> None:
    said = command("import", source.path)
    message = "Error: no terminal to ask for confirmation; add --yes to import, or --dry-run to look\n"
    assert (said.status, said.err) == (1, message)
    nothing = command("import", source.path / "none", "--yes")
    assert (nothing.status, nothing.err) == (1, f"Error: {source.path / 'none'} is not a directory\n")
    other = command("import", source.path / "dags", "--yes")
    assert (other.status, "is not a home of Dagu 1.x" in other.err) == (1, True)


@pytest.mark.parametrize(("answer", "status", "imported"), [("y", 0, True), ("n", 1, False)])
async def test_a_terminal_is_asked(
    source: DaguHome, tmp_path: Path, answer: str, status: int, *, imported: bool
) -> None:
    source.run("etl", "run-1")
    home = _made(tmp_path / "asked")
    ours, theirs = pty.openpty()
    try:
        line = CommandLine(home)
        line.stdin = theirs
        process = await line.begin("import", source.path, KEEP)
        os.write(ours, f"{answer}\n".encode())
        _, err = await process.communicate()
    finally:
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, b"has 0 definitions and 1 run." in err) == (status, True), err
    assert (home / "dagbook.sqlite3").exists() == imported


def test_new_dags_are_suspended_on_request(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]]
) -> None:
    source.definition("etl", "schedule: '* * * * *'\n" + SPEC)
    bring("--suspend", "--no-runs")
    assert [dag["suspended"] for dag in json.loads(command("dag", "list", "--json").out)["dags"]] == [True]


def test_settings_are_printed_without_secrets_and_written_with_them(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = "port: 9000\nauth: {basic: {username: ann, password: topsecret}}\nheadless: true\n"
    (source.path / "config.yaml").write_text(config)
    printed = command("import", source.path, "--yes", KEEP)
    assert "topsecret" not in printed.out
    assert "port: '9000'" in printed.out
    assert "setting headless: the web UI is always served" in printed.out
    file = tmp_path / "new.yaml"
    assert bring("--settings-file", str(file))["settings"]["text"] == ""
    assert "auth_basic_password: topsecret" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    effective = command("config", "-c", file, "--json")
    assert json.loads(effective.out)["port"]["value"] == 9000
    refused = command("import", source.path, "--yes", "--settings-file", file)
    assert (refused.status, "exists already" in refused.err) == (1, True)


def test_runs_that_retention_would_delete_at_once_are_counted(command: Command, source: DaguHome) -> None:
    old = START - timedelta(days=3650)
    source.run("etl", "run-1", succeeded(at=old), at=old)
    said = command("import", source.path, "--yes")
    assert (said.status, "1 of these runs are older than retention_days (30)" in said.err) == (0, True)


def test_output_is_found_before_a_transaction_and_what_cannot_be_read_is_named(
    source: DaguHome, bring: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_log, looked = HomeSource.find_log, list[str]()

    def find(home: HomeSource, reference: str, folder: Path) -> tuple[Path | None, str]:
        looked.append(reference)
        with closing(sqlite3.connect(tmp_path / "dagbook.sqlite3", timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")  # nothing is being written
        found = find_log(home, reference, folder)
        return (folder, "") if reference == broken else found  # a folder cannot be read

    monkeypatch.setattr(HomeSource, "find_log", find)
    monkeypatch.setattr(storing, "_BYTES_AT_A_TIME", 10)  # three transactions
    broken = source.log("1.out", b"x" * 20)
    for number in range(4):
        one = node("one", stdout=source.log(f"{number}.out", b"x" * 5 * (number + 1)))
        source.run("etl", f"run-{number}", succeeded([one, node("two")]), at=START + timedelta(seconds=number))
    report = bring(status=1)
    assert {broken, str(source.path / "logs" / "3.out")} <= set(looked)
    assert (report["runs"]["imported"], report["stored"]["logBytes"]) == (4, 40)
    assert [(finding["kind"], finding["reason"]) for finding in report["findings"]] == [
        ("log", "it cannot be read: Is a directory")
    ]


def test_a_second_import_into_a_file_at_the_same_time_is_refused(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source.run("etl", "run-1")
    lock = acquire(tmp_path / "dagbook.sqlite3", "dagbook import")
    said = command("import", source.path, "--yes", KEEP)
    lock.release()
    message = f"is in use by dagbook import (process {os.getpid()}); wait until it has finished"
    assert (said.status, message in said.err) == (1, True), said.err
    assert bring()["runs"]["imported"] == 1


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_a_second_import_at_the_same_time_is_refused(
    source: DaguHome, database: Database, database_url: str, tmp_path: Path
) -> None:
    source.run("etl", "run-1")
    line = CommandLine(_made(tmp_path / "home"), database_url)
    async with database.try_lock("dagbook import"):
        said = await line.run("import", source.path, "--yes", KEEP)
    message = "Error: another import into this database is running; repeat this one after it\n"
    assert (said.status, said.err) == (1, message)
    assert (await line.run("import", source.path, "--yes", KEEP)).status == 0


def test_a_held_database_is_imported_into_and_stays_held(
    command: Command, source: DaguHome, bring: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source.definition("etl", "schedule: '* * * * *'\n" + SPEC)
    source.run("etl", "run-1")
    source.run("etl", "run-2", succeeded([node("one", 2), node("two", 3)], status=2), at=START + timedelta(days=1))
    backup, home = tmp_path / "backup", f"--home={tmp_path / 'restored'}"
    assert command("backup", backup).status == 0
    assert command("restore", backup, home).status == 0
    report = bring(home)
    assert [report[name]["imported"] for name in ("definitions", "runs")] == [1, 2]
    assert "is held" in command("ps", home).err
    resumed = json.loads(command("resume", home, "--json").out)
    assert resumed == {"failedRuns": 0, "queuedRuns": 0, "droppedDeliveries": 0, "closedAlerts": 0, "deadEvents": 0}
    statuses = [json.loads(command("status", "etl", run, home, "--json").out) for run in ("run-1", "run-2")]
    assert [status["dagRunDetails"]["statusLabel"] for status in statuses] == ["succeeded", "failed"]
    assert _complaints(command("doctor", home)) == []


@pytest.mark.both_engines
def test_both_engines_store_the_same(command: Command, source: DaguHome, database_url: str) -> None:
    source.definition("etl")
    bad = "a\u0000b"
    source.run("etl", "run-1", succeeded([node("one", error=bad), node("two", stdout=source.log("x", b"\0\xff\n"))]))
    said = command("import", source.path, "--yes", "--json", KEEP, "--database-url", database_url)
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out)["runs"]["imported"] == 1
    assert _complaints(command("doctor", "--database-url", database_url)) == []


async def _rows(url: str) -> dict[str, list[Any]]:
    """Return all imported rows, without those of definitions, whose time is that of the import."""
    database = await Database.open(url)

    def read(connection: ReadConnection) -> dict[str, list[Any]]:
        return {
            table: sorted(map(repr, connection.execute(sql(f"SELECT * FROM {table}")).all()))  # noqa: S608 - of this file
            for table in _TABLES
        }

    try:
        return await database.read(read)
    finally:
        await database.close()


@pytest.fixture
def many(source: DaguHome) -> DaguHome:
    """A home that takes a moment to import."""
    source.definition("etl", suspended=True)
    for number in range(300):
        at = START + timedelta(seconds=number)
        one = node("one", at=at, stdout=source.log(f"{number}.out", b"line\n" * 2000))
        source.run("etl", f"run-{number}", succeeded([one, node("two", at=at)], at=at), at=at)
    return source


@pytest.fixture(params=range(10))
def seed(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
async def urls(copies: Copies) -> AsyncIterator[tuple[str, str]]:
    """Two databases of one engine."""
    async for one in copies.copy():
        async for other in copies.copy():
            yield one, other


async def test_a_killed_import_that_is_repeated_leaves_the_same_rows(
    many: DaguHome, tmp_path: Path, urls: tuple[str, str], seed: int
) -> None:
    home = _made(tmp_path / "home")
    whole, killed = (CommandLine(home, url) for url in urls)
    said = await whole.run("import", many.path, "--yes", KEEP)
    assert (said.status, said.err) == (0, "")
    chosen = random.Random(seed)  # noqa: S311 - of a test
    for _ in range(2):
        begin, moment = await _written(urls[1]), chosen.randrange(100_000, 900_000)
        process = await killed.begin("import", many.path, "--yes", KEEP)

        async def has_come(process: Process = process, end: int = begin + moment) -> bool:
            return process.returncode is not None or await _written(urls[1]) > end

        await wait_until(has_come)
        if process.returncode is None:
            process.kill()
        await process.communicate()
    said = await killed.run("import", many.path, "--yes", KEEP)
    assert (said.status, said.err) == (0, "")
    assert await _rows(urls[1]) == await _rows(urls[0])


@pytest.mark.full
async def test_of_two_imports_that_start_together_one_is_refused_or_finds_all_there(
    many: DaguHome, tmp_path: Path, database_url: str
) -> None:
    line = CommandLine(_made(tmp_path / "home"), database_url)
    both = await asyncio.gather(*(line.run("import", many.path, "--yes", "--json", KEEP) for _ in range(2)))
    done = [json.loads(said.out)["runs"] for said in both if said.status == 0]
    refused = [said.err for said in both if said.status]
    assert [counts["imported"] for counts in done if counts["imported"]] == [300], both
    assert len(done) + sum("is running" in err or "is in use by dagbook import" in err for err in refused) == 2, both
    again = json.loads((await line.run("import", many.path, "--yes", "--json", KEEP)).out)
    assert [again[name]["present"] for name in ("definitions", "runs")] == [1, 300]


@pytest.mark.full
@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_an_import_that_loses_its_database_says_so_and_is_repeated(
    many: DaguHome, tmp_path: Path, database: Database, database_url: str
) -> None:
    line, begin = CommandLine(_made(tmp_path / "home"), database_url), await _written(database_url)
    end = sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dagbook import%'")
    process = await line.begin("import", many.path, "--yes", KEEP)

    async def has_begun() -> bool:
        return await _written(database_url) > begin + 200_000

    async def is_lost() -> bool:
        await database.read(lambda connection: connection.execute(end).all())
        return process.returncode is not None

    await wait_until(has_begun)
    await wait_until(is_lost)
    _, err = await process.communicate()
    assert (process.returncode, err.count(b"\n")) == (1, 1), err
    assert b"the database is unavailable" in err
    assert b"; repeat the import then, which stores what is missing" in err
    said = await line.run("import", many.path, "--yes", "--json", KEEP)
    counts = json.loads(said.out)["runs"]
    assert (said.status, counts["imported"] + counts["present"], counts["differing"]) == (0, 300, 0)


async def _written(url: str) -> int:
    """Return how much is written to a database or its log, which grows while a transaction goes on."""
    if url.startswith("sqlite"):
        database = Path(url.removeprefix("sqlite:///"))
        return sum(path.stat().st_size for path in database.parent.glob(f"{database.name}*") if path.is_file())
    opened = await Database.open(url, pool_size=1)
    try:
        position = sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")
        return int(await opened.read(lambda connection: connection.scalar(position)))
    finally:
        await opened.close()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
