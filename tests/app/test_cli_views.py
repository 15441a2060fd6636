"""``dagbook ps``, ``runs``, ``status``, ``history``, ``why``, ``logs``, ``search``, ``events`` and ``open``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dagbook.cli.runs.open import open_in_browser
from tests.app.program import CommandResult
from tests.app.remote_server import RemoteDagbook
from tests.conftest import ROOT
from tests.waiting import PATIENCE_SECONDS, wait_until

Command = Callable[..., CommandResult]
SPEC = """\
steps:
  - {name: first, command: "echo hello; echo problem >&2; printf unfinished"}
  - {name: second, command: "echo 'disk is full'; exit 3", depends: [first]}
"""
CALLS = """\
steps:
  - {name: call, call: one}
---
name: one
steps:
  - {name: load, command: "echo no space >&2; exit 4"}
"""


@pytest.fixture
def ran(command: Command, tmp_path: Path) -> Command:
    """A stored DAG whose one run has failed."""
    (tmp_path / "etl.yaml").write_text(SPEC)
    assert command("dag", "save", tmp_path / "etl.yaml").status == 0
    assert command("run", "etl", "-r", "r1").status == 1
    return command


def test_runs_are_a_table_with_the_newest_first_that_filters_narrow(command: Command, tmp_path: Path) -> None:
    for number, (name, end) in enumerate((("good", "true"), ("good", "true"), ("bad", "exit 3"))):
        (tmp_path / f"{name}.yaml").write_text(f"tags: [{name}]\nsteps: [{{command: '{end}'}}]\n")
        command("run", tmp_path / f"{name}.yaml", "-r", f"r{number}")
    head, *rows = command("runs").out.splitlines()
    assert head.split() == ["STARTED", "DAG", "RUN", "STATUS", "DURATION"]
    assert [row.split()[1:4] for row in rows] == [
        ["bad", "r2", "failed"],
        ["good", "r1", "succeeded"],
        ["good", "r0", "succeeded"],
    ]
    for words, found in (
        (("--tag", "good", "--status", "succeeded", "--limit", "1"), ["r1"]),
        (("bad", "--min-duration", "1h"), []),
        (("--days", "1", "--error", "exit"), ["r2"]),
    ):
        listed = json.loads(command("runs", *words, "--json").out)["dagRuns"]
        assert [run["dagRunId"] for run in listed] == found, words
    said = command("runs", "--param", "x")
    assert (said.status, said.out, "param: 'x' is no NAME=value" in said.err) == (1, "", True)


def test_a_run_that_failed_is_shown_step_by_step_with_0(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.yaml").write_text(
        "name: flow\nparams: A=1\nhandlerOn: {exit: {command: 'true'}}\n"
        "steps: [{name: good, command: 'true'}, {name: bad, command: exit 3}, {name: never, command: 'true'}]\n"
    )
    (tmp_path / "flow").write_text("a file that is no definition, and only called like the DAG")
    assert command("run", "file.yaml", "-r", "r1").status == 1
    said = command("status", "flow")
    title, *lines = said.out.splitlines()
    assert (said.status, title) == (0, "flow  r1")
    facts = dict(line.split(maxsplit=1) for line in lines[: lines.index("")])
    assert (facts["status"], facts["params"]) == ("failed", "A=1")
    assert {"started", "finished", "duration"} <= facts.keys()
    steps = [line.split()[:2] for line in lines[lines.index("") + 2 :]]
    assert steps == [["good", "succeeded"], ["bad", "failed"], ["never", "aborted"], ["onExit", "succeeded"]]
    assert "exit status 3" in said.out
    for which in (("flow", "r1"), ("flow", "-r", "r1"), ("file.yaml",), ("./file.yaml", "r1")):
        assert command("status", *which) == said, which


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nosuch",), "DAG 'nosuch' has no run"),
        (("flow", "r9"), "there is no run 'r9' of DAG 'flow'"),
        (("a b",), "'a b' is not a DAG name; give the name that 'dagbook run' prints"),
    ],
)
def test_a_run_that_is_not_there_is_told_in_a_sentence(command: Command, arguments: tuple[str, ...], told: str) -> None:
    assert command("status", *arguments) == CommandResult(1, "", f"Error: {told}\n")


def test_logs_are_printed_with_the_names_of_their_steps(ran: Command) -> None:
    said = ran("logs", "etl")
    assert (said.status, said.err) == (0, "first | problem\n")
    assert said.out.splitlines() == ["first | hello", "first | unfinished", "second | disk is full"]
    assert ran("logs", "etl", "r1", "--step", "second").out == "disk is full\n"
    assert ran("logs", "etl", "--stream", "stderr") == CommandResult(0, "", "first | problem\n")
    pieces = [json.loads(line) for line in ran("logs", "etl", "--json").out.splitlines()]
    assert {(piece["step"], piece["stream"]) for piece in pieces} >= {("first", "stderr"), ("second", "stdout")}


def test_logs_begin_at_a_time(ran: Command) -> None:
    assert ran("logs", "etl", "--since", "1h").out.count("\n") == 3
    assert ran("logs", "etl", "--since", "2100-01-01").out == ""
    said = ran("logs", "etl", "--since", "yesterday")
    assert (said.status, "'yesterday' is not a time; write 10m" in said.err) == (1, True)


def test_logs_of_what_is_not_there_are_errors(ran: Command) -> None:
    assert ran("logs", "nosuch").err == "Error: DAG 'nosuch' has no run\n"
    assert "r9" in ran("logs", "etl", "r9").err
    assert ran("logs", "etl", "--step", "x").err == "Error: run r1 has no step 'x'; it has first, second\n"


def test_the_last_line_of_a_step_is_printed_when_the_step_ends(remote: RemoteDagbook, tmp_path: Path) -> None:
    wait = "until [ -e go ]; do sleep 0.05; done"
    spec = f"workingDir: {tmp_path}\nsteps: [{{name: a, command: printf begun}}, {{name: b, command: '{wait}'}}]\n"
    remote.request("POST", "/dag-runs", json={"spec": spec, "name": "unended", "dagRunId": "u1"})
    environ = {"PYTHONPATH": f"{ROOT}/app", "DAGBOOK_SERVER": remote.url, "DAGBOOK_TOKEN": remote.token}
    command = [sys.executable, "-m", "dagbook", "logs", "-f", "unended"]
    with subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True) as followed:
        assert followed.stdout is not None
        assert followed.stdout.readline() == "a | begun\n"
        (tmp_path / "go").touch()
        assert followed.communicate(timeout=PATIENCE_SECONDS)[0] == ""


def test_runs_are_named_by_latest_and_by_the_beginning_of_their_ids(ran: Command) -> None:
    for run_id in ("two-1", "two-2"):
        assert ran("enqueue", "etl", "-r", run_id).status == 0
    assert ran("status", "etl", "latest").out.startswith("etl  two-2\n")
    assert ran("status", "etl", "two-1").out.startswith("etl  two-1\n")
    for command in ("status", "why", "logs", "events"):
        assert ran(command, "etl", "r").status == 0, command
    assert "disk is full" in ran("search", "full", "etl", "r").out
    ambiguous = "Error: several runs of DAG 'etl' have ids that begin with 'two': two-2, two-1\n"
    for words in (("status",), ("stop",), ("retry",), ("restart",), ("queue", "priority")):
        assert ran(*words, "etl", "two").err == ambiguous, words
    assert ran("dequeue", "etl", "-d", "etl:two").err == ambiguous
    assert ran("approvals", "approve", "etl", "two", "gate").err == ambiguous
    assert ran("queue", "priority", "etl", "latest", "--front").out == "run two-2 of DAG etl is moved in queue etl\n"
    assert ran("dequeue", "etl", "-d", "etl:two-2").status == 0
    assert "two-1" in ran("stop", "etl", "two-1").err
    assert ran("status", "etl", "wo-1").err == "Error: there is no run 'wo-1' of DAG 'etl'\n"


def test_a_step_that_waits_for_its_next_execution_says_until_when(at: Command, remote: RemoteDagbook) -> None:
    policies = {
        "retried": "command: exit 3, retryPolicy: {limit: 3, intervalSec: 600}",
        "repeated": "command: 'true', repeatPolicy: {repeat: while, exitCode: [0], limit: 3, intervalSec: 600}",
    }
    steps = "\n".join(f"  - {{name: {name}, {fields}}}" for name, fields in policies.items())
    spec = f"type: graph\nsteps:\n{steps}\n"
    remote.request("POST", "/dag-runs", json={"spec": spec, "name": "waits", "dagRunId": "w1"})

    async def waiting() -> list[str] | None:
        events = remote.request("GET", "/dag-runs/waits/w1/events")["events"]
        due = {event["step"]: event["dueAt"] for event in events if "dueAt" in event}
        return [due["retried"], due["repeated"]] if len(due) == len(policies) else None

    retried, repeated = asyncio.run(wait_until(waiting))
    lines = at("status", "waits", "w").out.splitlines()
    remote.request("POST", "/dag-runs/waits/w1/stop")
    assert lines[-2].endswith(f"waits for retry 1 until {retried}: exit status 3")
    assert lines[-1].endswith(f"waits for its next repetition until {repeated}")


def test_logs_are_followed_until_the_run_is_finished(at: Command, remote: RemoteDagbook, tmp_path: Path) -> None:
    step = "{name: a, command: 'echo begun; until [ -e go ]; do sleep 0.05; done; echo done'}"
    spec = f"workingDir: {tmp_path}\nsteps: [{step}]\n"
    remote.request("POST", "/dag-runs", json={"spec": spec, "name": "followed", "dagRunId": "f1"})
    env = os.environ | {"PYTHONPATH": f"{ROOT}/app"}
    command = [sys.executable, "-m", "dagbook", "logs", "-f", "followed", "f1"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as followed:
        assert followed.stdout is not None
        assert followed.stdout.readline() == "a | begun\n"
        listed = at("ps").out.splitlines()
        (tmp_path / "go").touch()
        out, _ = followed.communicate(timeout=PATIENCE_SECONDS)
    assert (out, followed.returncode) == ("a | done\n", 0)
    assert listed[0].split()[:3] == ["DAG", "RUN", "STATUS"]
    *run, _, unit, step = listed[1].split()
    assert (run, unit in ("ms", "s"), step) == (["followed", "f1", "running"], True, "a")


def test_nothing_is_followed_where_no_server_is(command: Command, tmp_path: Path) -> None:
    (tmp_path / "q.yaml").write_text("steps: [{name: a, command: 'true'}]\n")
    command("enqueue", tmp_path / "q.yaml", "-r", "q1")
    said = command("logs", "-f", "q", "q1")
    assert (said.status, said.out) == (0, "")
    assert said.err.startswith("Notice: no server is running, so nothing is added")


def test_the_reasons_of_a_failure_are_told_with_the_end_of_the_output(ran: Command) -> None:
    failure = "the step second failed: exit status 3"
    lines = ran("why", "etl").out.splitlines()
    assert lines[:4] == [
        "etl  r1  failed",
        f"- {failure}",
        "- nobody is told of this",
        "- it has no schedule that starts it",
    ]
    assert lines[-2:] == ["the end of the output of second:", "  disk is full"]
    found = json.loads(ran("why", "etl", "r1", "--json").out)
    assert (found["reasons"], found["tails"]) == ([failure, "nobody is told of this"], {"second": ["disk is full"]})
    assert found["run"]["dagRunId"] == "r1"


def test_why_tells_of_a_dag_without_runs_and_of_none(command: Command, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("schedule: '0 5 * * *'\nsteps: [{name: a, command: 'true'}]\n")
    command("dag", "save", tmp_path / "new.yaml")
    lines = command("why", "new").out.splitlines()
    assert lines[0] == "the DAG new has no run"
    assert lines[1].startswith("- its schedule starts it next at ")
    said = command("why", "nosuch")
    assert said.err == "Error: there is no DAG named 'nosuch', and no run of it; `dagbook dag list` shows them\n"


def test_why_tells_that_no_server_is_running_when_a_run_or_a_schedule_waits_for_one(
    command: Command, tmp_path: Path
) -> None:
    for name, schedule in (("once", ""), ("daily", "schedule: '0 5 * * *'\n")):
        (tmp_path / f"{name}.yaml").write_text(f"{schedule}steps: [{{name: a, command: 'true'}}]\n")
        command("dag", "save", tmp_path / f"{name}.yaml")
    missing = "Notice: no server is running, so nothing is started or continued"
    assert command("why", "daily").err.startswith(missing)
    assert command("why", "once").err == ""
    command("enqueue", "once")
    assert command("why", "once").err.startswith(missing)


def test_the_history_has_a_summary_runs_and_steps(ran: Command) -> None:
    lines = ran("history", "etl").out.splitlines()
    assert lines[0] == "1 finished run: 1 failed"
    assert lines[2].split()[1:3] == ["r1", "failed"]
    assert [line.split() for line in lines[-2:]] == [["first", "✓"], ["second", "✗"]]
    found = json.loads(ran("history", "etl", "--json").out)
    assert (len(found["dagRuns"]), found["statistics"]["failed"], len(found["gridData"])) == (1, 1, 2)
    assert ran("history", "nosuch").err == "Error: DAG 'nosuch' has no run; `dagbook run nosuch` starts one\n"


def test_the_history_has_the_steps_in_the_order_of_the_newest_run(command: Command, tmp_path: Path) -> None:
    def run(steps: str) -> None:
        (tmp_path / "order.yaml").write_text(f"steps: [{steps}]\nhandlerOn: {{exit: {{command: 'true'}}}}\n")
        assert command("dag", "save", tmp_path / "order.yaml").status == 0
        assert command("run", "order").status == 0

    run("{name: old, command: 'true'}")
    run("{name: zeta, command: 'true'}, {name: alpha, command: 'true'}")
    steps = [line.split() for line in command("history", "order").out.splitlines()[-4:]]
    assert steps == [["zeta", "✓·"], ["alpha", "✓·"], ["old", "·✓"], ["onExit", "✓✓"]]


def test_ps_tells_what_queued_runs_wait_for(command: Command, tmp_path: Path) -> None:
    assert command("ps").out == "no run is running or queued\n"
    assert json.loads(command("ps", "--json").out) == {"dagRuns": []}
    (tmp_path / "q.yaml").write_text("queue: night\nsteps: [{name: a, command: 'true'}]\n")
    command("queue", "pause", "night")
    command("enqueue", tmp_path / "q.yaml", "-r", "q1")
    row = command("ps").out.splitlines()[1]
    assert row.split()[:3] == ["q", "q1", "queued"]
    assert "queue 'night' is paused" in row


def test_definitions_and_logs_are_searched(ran: Command) -> None:
    assert ran("search", "DISK IS").out == f"etl:3: {SPEC.splitlines()[2]}\n"
    assert ran("search", "disk is", "etl").out == "second:stdout:1: disk is full\n"
    assert ran("search", "--regex", "h.l+o", "etl", "r1", "--step", "first").out == "first:stdout:1: hello\n"
    assert json.loads(ran("search", "hello", "--json").out)["results"][0]["name"] == "etl"
    assert ran("search", "a.c").status == 1  # a text, not an expression
    assert ran("search", "--regex", "f.ll").status == 0
    assert ran("search", "nothing like this", "etl").status == 1
    assert "--step is for the log of a run" in ran("search", "a", "--step", "b").err


def test_a_sub_run_is_found_by_the_id_that_the_list_of_sub_runs_has(command: Command, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(CALLS)
    assert command("run", tmp_path / "all.yaml").status == 1
    run_id = json.loads(command("runs", "one", "--sub-runs", "only", "--json").out)["dagRuns"][0]["dagRunId"]
    assert "the step load failed: exit status 4" in command("why", "one", run_id).out
    assert command("logs", "one", run_id) == CommandResult(0, "", "load | no space\n")
    assert "exit status 4" in command("status", "one", run_id).out
    assert "load   started" in command("events", "one", run_id).out
    assert command("search", "space", "one", run_id).status == 0
    assert command("why", "one", run_id + "x").status == 1


def test_the_history_of_a_run_is_printed(ran: Command) -> None:
    lines = ran("events", "etl", "r1").out.splitlines()
    assert lines[0].split() == ["NUMBER", "AT", "ATTEMPT", "STEP", "EVENT"]
    assert lines[1].split()[3:5] == ["(run)", "accepted,"]
    assert any(line.split()[3:] == ["first", "started"] for line in lines)
    assert any("failed, exit status 3" in line for line in lines)
    assert json.loads(ran("events", "etl", "--json").out)["events"][0]["number"] == 1
    assert "give a DAG" in ran("events").err
    assert "add -f" in ran("events", "etl", "--after", "1").err


def test_queued_runs_are_listed_in_the_order_of_their_queue(command: Command, tmp_path: Path) -> None:
    (tmp_path / "etl.yaml").write_text(SPEC)
    for run_id in ("q1", "q2", "q3"):
        assert command("enqueue", tmp_path / "etl.yaml", "-r", run_id).status == 0
    assert command("queue", "priority", "etl", "q3", "--front").status == 0
    for words, order in (((), ["q3", "q1", "q2"]), (("--limit", "2"), ["q3", "q1"])):
        assert [line.split()[1] for line in command("ps", *words).out.splitlines()[1:]] == order


def test_the_feed_needs_a_server(command: Command) -> None:
    said = command("events", "-f")
    assert said.err.startswith("Error: the feed of changes needs a running server; start one with `dagbook serve`")


def test_changes_are_followed_as_they_happen(at: Command, remote: RemoteDagbook) -> None:
    env = os.environ | {"PYTHONPATH": f"{ROOT}/app"}
    with subprocess.Popen(
        [sys.executable, "-m", "dagbook", "events", "-f", "fed", "--json"], env=env, stdout=subprocess.PIPE, text=True
    ) as feed:
        assert feed.stdout is not None
        try:
            assert json.loads(feed.stdout.readline())["event"] == "ready"
            remote.request("POST", "/dags", json={"name": "fed", "spec": "steps: [{name: a, command: 'true'}]\n"})
            event = json.loads(feed.stdout.readline())
            feed.send_signal(signal.SIGINT)
            assert feed.wait(PATIENCE_SECONDS) == 0  # its usual end
        finally:
            feed.kill()
    assert (event["event"], event["data"]["what"], event["data"]["fileName"]) == ("dag", "created", "fed")
    assert at("dag", "list").status == 0


def test_the_feed_of_the_server_here_comes_over_its_socket(command: Command, remote: RemoteDagbook) -> None:
    env = os.environ | {"PYTHONPATH": f"{ROOT}/app", "DAGBOOK_HOME": str(remote.home)}
    words = [sys.executable, "-m", "dagbook", "events", "-f", "here", "--json"]
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) as feed:
        assert feed.stdout is not None
        try:
            assert json.loads(feed.stdout.readline())["event"] == "ready"
            remote.request("POST", "/dags", json={"name": "here", "spec": "steps: [{name: a, command: 'true'}]\n"})
            assert json.loads(feed.stdout.readline())["data"]["fileName"] == "here"
        finally:
            feed.terminate()
    assert command("dag", "list").out.startswith("there are no DAGs")  # those of another home


def test_pages_are_named_by_their_address(at: Command, remote: RemoteDagbook, tmp_path: Path) -> None:
    remote.request("POST", "/dags", json={"name": "paged", "spec": "steps: [{name: a, command: 'true'}]\n"})
    remote.request("POST", "/dags/paged/start", json={"dagRunId": "p1"})
    assert at("open", "--print").out == f"{remote.url}/\n"
    assert at("open", "paged", "--print").out == f"{remote.url}/dags/paged\n"
    assert at("open", "paged", "p1", "--print").out == f"{remote.url}/dag-runs/paged/p1\n"
    (tmp_path / "all.yaml").write_text(CALLS)
    at("run", tmp_path / "all.yaml", "-r", "a1")
    run_id = json.loads(at("runs", "one", "--sub-runs", "only", "--json").out)["dagRuns"][0]["dagRunId"]
    assert at("open", "one", run_id, "--print").out == f"{remote.url}/dag-runs/all/a1/{run_id}\n"
    assert json.loads(at("open", "--json").out) == {"url": f"{remote.url}/"}
    assert "has no run" in at("open", "nosuch", "--print").err


def test_without_a_server_no_page_is_there(command: Command) -> None:
    assert command("open").err.startswith(
        "Error: no server is running on this database; start one with `dagbook serve`"
    )


def test_a_browser_is_opened_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not open_in_browser("http://localhost/")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setattr("webbrowser._tryorder", None)
    assert open_in_browser("http://localhost/dags")
    assert (tmp_path / "opened").read_text() == "http://localhost/dags\n"
