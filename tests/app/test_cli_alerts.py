"""``dagbook alerts``: each command, in this process, with a receiver in a thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dagbook import tries
from tests.app.program import CommandResult
from tests.process.waiting import wait_for

Command = Callable[..., CommandResult]
BAD, GOOD = "steps: [{name: a, command: exit 3}]\n", "steps: [{name: a, command: 'true'}]\n"


class Receiver:
    """Answers every request with ``status``, and keeps the bodies."""

    def __init__(self) -> None:
        self.status, self.bodies = 200, list[str]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/services/T0/very-secret-token"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def chat(command: Command, receiver: Receiver, tmp_path: Path) -> Command:
    """A channel and a rule for all DAGs but some."""
    (tmp_path / "url.txt").write_text(f"{receiver.url}\n")
    added = command(
        "alerts", "channel", "add", "ops", "slack", "--secret-file", tmp_path / "url.txt", "--interval", "0s"
    )
    assert (added.status, added.err) == (0, "")
    assert added.out == "added the channel ops (slack, 127.0.0.1); no rule uses it yet\n"
    for name, spec in (("nightly", BAD), ("play-1", BAD)):
        (tmp_path / f"{name}.yaml").write_text(spec)
        assert command("dag", "save", tmp_path / f"{name}.yaml").status == 0
    rule = command(
        "alerts", "rule", "add", "all", "--match", "*", "--match", "!play-*", "--on", "failed", "--to", "ops"
    )
    assert (rule.status, rule.out) == (0, "added the rule all: covers 1 DAG\n")
    return command


def test_a_run_without_a_server_tells_before_it_exits(chat: Command, receiver: Receiver) -> None:
    assert "no alert is open" in chat("alerts").out
    assert chat("run", "nightly", "-r", "one").status == 1
    assert "nightly failed at " in receiver.bodies[0]
    head, row = chat("alerts").out.splitlines()
    assert head.split() == ["ID", "KIND", "SUBJECT", "SINCE", "COUNT", "TOLD"]
    assert (row.split()[1:3], row.split()[4:6], row.endswith("(200)")) == (["failed", "nightly"], ["1", "ops"], True)
    assert "told: ops at " in chat("why", "nightly", "one").out
    assert "told at " in chat("alerts", "show", row.split()[0]).out


def test_exec_tells_too_and_a_dag_without_a_rule_is_said_to_tell_nobody(chat: Command, receiver: Receiver) -> None:
    assert chat("exec", "-N", "b", "--", "false").status == 1
    assert len(receiver.bodies) == 1
    assert chat("run", "play-1").status == 1
    assert len(receiver.bodies) == 1
    assert "nobody is told of this" in chat("why", "play-1").out


def test_what_a_receiver_that_is_away_lacks_is_sent_by_the_next_process(
    chat: Command, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "SPEED", 30)  # the command waits a second
    receiver.status = 503
    assert chat("run", "nightly").status == 1
    assert receiver.bodies
    assert "ops due " in chat("alerts").out
    receiver.status = 200
    # The channel rests for some time after a failure, which a process that ends before does not wait for.
    wait_for("a process that sends it", lambda: chat("run", "play-1") and chat("alerts").out.rstrip().endswith("(200)"))
    assert len(set(receiver.bodies)) == 1


def test_a_restored_home_sends_nothing_of_the_original_but_by_hand(
    chat: Command, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.status = 503
    with monkeypatch.context() as patch:
        patch.setattr(tries, "SPEED", 30)
        assert chat("run", "nightly").status == 1
    (other := tmp_path / "other").mkdir()
    file, home = tmp_path / "backup.sqlite3", ("--home", other)
    assert chat("backup", file, "--with-keys").status == 0
    assert chat("restore", file, *home).status == 0
    receiver.status = 200
    receiver.bodies.clear()
    for words in (("channel", "test", "ops"), ("test", "all", "--dag", "nightly")):
        refused = chat("alerts", *words, *home)
        assert (refused.status, "is held" in refused.err) == (1, True)
    resumed = chat("resume", "--yes", *home)
    assert resumed.out.splitlines()[1:] == [
        "alerts: 1 message dropped (`dagbook alerts history --dropped`), 1 alert closed"
    ]
    assert chat("run", "play-1", *home).status == 1  # sends what is pending before it exits
    assert receiver.bodies == []
    head, row = chat("alerts", "history", "--dropped", "--dag", "nightly", *home).out.splitlines()
    assert (head.split()[0], row.split()[1:4], row.split()[-1]) == ("ID", ["ops", "nightly", "opened"], "restored")
    assert chat("alerts", "history", "--dropped", "--dag", "other", *home).out == "no message was dropped\n"
    assert chat("alerts", "resend", row.split()[0], *home).status == 0
    assert ["nightly failed at " in body for body in receiver.bodies] == [True]
    assert "was restored from a backup at " in receiver.bodies[0]


def test_explain_names_the_word(chat: Command) -> None:
    assert chat("alerts", "explain", "nightly").out == "the rule all covers nightly by '*': failed to ops\n"
    assert chat("alerts", "explain", "play-1").out == "no rule covers play-1: '!play-*' of the rule all excludes it\n"


def test_explain_names_a_mail_of_the_definition(chat: Command, tmp_path: Path) -> None:
    mails = "smtp: {host: mail.example}\nmailOn: {failure: true}\nerrorMail: {from: a@b.c, to: d@e.f}\n"
    (file := tmp_path / "play-2.yaml").write_text(f"{mails}steps: [{{name: a, command: 'true'}}]\n")
    assert chat("dag", "save", file).status == 0
    last = chat("alerts", "explain", "play-2").out.splitlines()[-1]
    assert last == "a mail of the definition of play-2 reports its failures"


def test_a_test_prints_the_receipt_and_fails_where_nobody_is_told(chat: Command, receiver: Receiver) -> None:
    told = chat("alerts", "test", "all", "--dag", "nightly")
    assert (told.status, told.out.startswith("ops  told at ")) == (0, True)
    assert "test: nightly failed" in receiver.bodies[0]
    refused = chat("alerts", "test", "all", "--dag", "play-1")
    assert (refused.status, refused.err) == (1, "no channel is told about play-1: '!play-*' excludes it\n")
    assert len(receiver.bodies) == 1
    assert chat("alerts", "channel", "test", "ops").status == 0


def test_an_alert_is_acknowledged_by_its_dag(chat: Command) -> None:
    chat("run", "nightly")
    done = chat("alerts", "ack", "nightly", "--note", "disk ordered")
    assert (done.status, done.out) == (0, "acknowledged 1 alert\n")
    shown = json.loads(chat("alerts", "--json").out)["alerts"][0]
    assert (shown["note"], "acknowledgedBy" in shown) == ("disk ordered", True)
    assert "no alert about play-1 is open" in chat("alerts", "ack", "play-1").err


def test_the_secret_is_in_no_output_and_in_no_file(chat: Command, tmp_path: Path) -> None:
    said = [chat("alerts", "channel", "list", "--json"), chat("alerts", "channel", "show", "ops"), chat("config")]
    chat("run", "nightly")
    said += [chat("alerts", "history", "--json"), chat("audit", "list", "--json")]
    assert chat("backup", tmp_path / "copy.sqlite3").status == 0
    assert "very-secret-token" not in str(said)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "url.txt"]
    assert files
    assert [path for path in files if b"very-secret-token" in path.read_bytes()] == []


def test_a_webhook_prints_its_secret_once(command: Command, receiver: Receiver) -> None:
    added = command("alerts", "channel", "add", "hook", "webhook", "--url", receiver.url)
    assert "secret (shown once): whsec_" in added.out
    assert "whsec_" not in command("alerts", "channel", "show", "hook", "--json").out
    assert "secret (shown once): whsec_" in command("alerts", "channel", "secret", "hook").out


def test_a_channel_in_use_is_not_removed(chat: Command) -> None:
    refused = chat("alerts", "channel", "remove", "ops")
    assert (refused.status, "is used by the rules all" in refused.err) == (1, True)
    assert chat("alerts", "rule", "remove", "all").out == "removed the rule all\n"
    assert chat("alerts", "channel", "remove", "ops").out == "removed the channel ops\n"


def test_what_is_disabled_tells_nobody(chat: Command, receiver: Receiver) -> None:
    assert chat("alerts", "rule", "disable", "all").out == "disabled the rule all\n"
    chat("run", "nightly")
    assert chat("alerts", "rule", "enable", "all").status == 0
    assert chat("alerts", "channel", "disable", "ops").status == 0
    chat("run", "nightly")
    assert receiver.bodies == []
    assert "disabled" in chat("alerts", "channel", "list").out
    assert chat("alerts", "rule", "list").out.splitlines()[1].split()[0] == "all"


def test_exec_and_enqueue_without_a_server_know_the_settings(
    command: Callable[..., CommandResult], receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_URL", receiver.url)
    settings = tmp_path / "dagbook.yaml"
    settings.write_text(
        "alert_channels:\n  - {name: ops, type: slack, url: '${OPS_URL}'}\n"
        "alert_rules:\n  - {name: all, match: ['*'], on: [failed], to: [ops]}\n"
    )
    (tmp_path / "later.yaml").write_text(BAD)
    assert command("enqueue", tmp_path / "later.yaml").status == 0
    assert [each.split()[:2] for each in command("alerts", "channel", "list").out.splitlines()[1:]] == [
        ["ops", "slack"]
    ]
    said = command("exec", "-N", "b", "--", "false"), command("config"), command("config", "--json")
    assert said[0].status == 1
    assert any("b failed at " in body for body in receiver.bodies)
    assert ("very-secret-token" in str(said), str(said).count("***")) == (False, 2)
    settings.write_text("alert_rules: [{name: all, match: ['*'], on: [often], to: [ops]}]\n")
    refused = command("exec", "-N", "b", "--", "true")
    assert (refused.status, "all: on: 'often' is no kind of alert" in refused.err) == (1, True)
    settings.write_text("")  # which says nothing for a command
    assert command("exec", "-N", "b", "--", "true").status == 0
    assert len(command("alerts", "rule", "list").out.splitlines()) == 2
    settings.write_text("alert_channels: []\nalert_rules: []\n")
    assert command("exec", "-N", "b", "--", "true").status == 0
    assert "there is no rule" in command("alerts", "rule", "list").out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("channel", "add", "x", "pigeon"), "is no type of channel"),
        (("channel", "add", "x", "webhook", "--url", "ftp://host/x"), "url: is not the address of a receiver"),
        (("channel", "add", "x", "mail", "--to", "a@b, c@d"), "is not a mail address"),
        (("channel", "add", "a b", "webhook", "--url", "http://host/"), "is no name"),
        (("rule", "add", "x", "--match", "!a", "--on", "failed", "--to", "ops"), "covers nothing"),
        (("rule", "add", "x", "--match", "*", "--on", "often", "--to", "ops"), "is no kind of alert"),
        (
            ("rule", "add", "x", "--match", "*", "--on", "failed", "--to", "nobody"),
            "there is no channel named 'nobody'",
        ),
        (("rule", "add", "x", "--match", "*", "--on", "failed", "--to", "ops +soon"), "has no delay"),
        (("rule", "add", "all", "--match", "*", "--on", "failed", "--to", "ops"), "exists already"),
        (("show", "99"), "there is no alert '99'"),
        (("test", "other", "--dag", "nightly"), "there is no rule named 'other'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(chat: Command, arguments: tuple[str, ...], reason: str) -> None:
    done = chat("alerts", *arguments)
    assert (done.status, reason in done.err) == (1, True), done


def test_a_ping_has_an_interval_and_may_report_no_failures(command: Command) -> None:
    words = ("alerts", "channel", "add", "alive", "ping", "--url", "http://127.0.0.1:9/alive")
    added = command(*words, "--every", "60", "--no-fail")
    assert (added.status, added.out) == (0, "added the channel alive (ping, http://127.0.0.1:9/alive)\n")
    shown = json.loads(command("alerts", "channel", "show", "alive", "--json").out)
    assert (shown["everySeconds"], shown["fail"]) == (60, False)


def test_a_rule_names_kinds_with_limits(chat: Command) -> None:
    words = ("alerts", "rule", "add", "late", "--match", "*", "--to", "ops", "--on", "overdue 120m")
    assert chat(*words, "--on", "slow x3").status == 0
    assert json.loads(chat("alerts", "rule", "show", "late", "--json").out)["on"] == ["overdue 2h", "slow x3"]
    refused = chat("alerts", "rule", "add", "other", "--match", "*", "--to", "ops", "--on", "overdue")
    assert (refused.status, "on: 'overdue' has no time of at least 20 s" in refused.err) == (1, True)
