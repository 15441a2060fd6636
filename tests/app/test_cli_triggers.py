"""``dagbook triggers``: each command, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.app.program import CommandResult

Command = Callable[..., CommandResult]
PUSH = ("triggers", "add", "push", "--dag", "build", "--webhook", "github")


@pytest.fixture
def build(command: Command, tmp_path: Path) -> Command:
    """A stored DAG, and the program."""
    (tmp_path / "build.yaml").write_text("steps: [{name: a, command: 'true'}]\n")
    assert command("dag", "save", tmp_path / "build.yaml").status == 0
    return command


def shown(command: Command, name: str = "push") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("triggers", "show", name, "--json").out)
    return found


def test_a_trigger_is_added_with_its_address_and_its_secret_once(build: Command) -> None:
    assert "there is no trigger; `dagbook triggers add" in build("triggers").out
    added = build(*PUSH, "--filter", "json:/ref = main", "--param", "SHA=json:/after", "--param", "A!=header:X-A")
    address, secret = added.out.splitlines()
    assert (added.status, address) == (0, "trigger push: POST /api/v2/hooks/push")
    assert secret.startswith("secret (shown once): ")
    assert secret.split()[-1] not in build("triggers", "show", "push").out
    head, row = build("triggers").out.splitlines()
    assert head.split() == ["NAME", "DAG", "KIND", "STATE", "WAITING", "DEAD", "LAST", "EVENT"]
    assert row.split() == ["push", "build", "github", "ready", "0", "0"]
    found = shown(build)
    assert (found["filters"], found["params"]) == (
        ["json:/ref = main"],
        {"SHA": "json:/after", "A!": "header:X-A"},
    )
    assert "there is no such event" in build("triggers", "events", "push").out
    assert build("triggers", "event", "x").err == (
        "Error: no trigger has an event 'x'; `dagbook triggers events NAME` has their ids\n"
    )


def test_options_are_changed_and_the_others_stay(build: Command, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret of the sender\n")
    own = ("--secret-file", tmp_path / "secret", "--header", "X-Sig", "--time-header", "X-Time", "--repeats")
    added = build("triggers", "add", "slack", "--dag", "build", "--webhook", "hmac", *own)
    assert (added.status, added.out) == (0, "trigger slack: POST /api/v2/hooks/slack\n")
    changed = build("triggers", "set", "slack", "--prefix", "v0=", "--per-minute", "7", "--collapse", "--no-repeats")
    assert (changed.status, changed.out) == (0, "changed the trigger slack\n"), changed.err
    found = shown(build, "slack")
    assert found["settings"] == {
        "header": "X-Sig",
        "prefix": "v0=",
        "timeHeader": "X-Time",
        "signed": "v0:{time}:{body}",
    }
    assert (found["perMinute"], found["collapse"], found["maxBytes"]) == (7, True, 1 << 20)
    assert build("triggers", "set", "slack").status == 1
    for options in (("--filter", "json:/a exists", "--param", "A=json:/a"), ("--filter", "", "--param", "")):
        assert build("triggers", "set", "slack", *options).status == 0
    found = shown(build, "slack")
    assert (found["filters"], found["params"]) == ([], {})


def test_a_trigger_that_follows_a_dag_is_added_and_changed(build: Command) -> None:
    after = ("triggers", "add", "report", "--dag", "build", "--after", "build", "--param", "DAY=output:DAY")
    added = build(*after, "--on", "failed", "--on", "aborted")
    assert (added.status, added.out) == (
        0,
        "trigger report: build starts after each run of build that ends as failed or aborted\n",
    )
    row = build("triggers").out.splitlines()[1]
    assert row.split() == ["report", "build", "after", "ready", "0", "0"]
    assert build("triggers", "set", "report", "--on", "partial").status == 0
    assert shown(build, "report")["settings"] == {"after": "build", "on": ["partial"]}
    both = build("triggers", "add", "x", "--dag", "build", "--after", "build", "--webhook", "token")
    assert (both.status, "give one of --webhook, --after, --files, --sftp and --http" in both.err) == (1, True)
    assert build("triggers", "add", "x", "--dag", "build").status == 1


def test_a_trigger_is_paused_resumed_rotated_and_removed(build: Command, tmp_path: Path) -> None:
    before = build(*PUSH).out.split()[-1]
    assert build("triggers", "pause", "push").out == "paused the trigger push: its events wait\n"
    assert "the trigger is paused" in build("triggers").out
    assert build("triggers", "resume", "push").out == "resumed the trigger push\n"
    rotated = build("triggers", "secret", "push").out
    assert (rotated.startswith("secret (shown once): "), rotated.split()[-1] != before) == (True, True)
    (tmp_path / "secret").write_text("a secret of the sender\n")
    own = build("triggers", "secret", "push", "--secret-file", tmp_path / "secret").out
    assert own == "changed the secret of the trigger push\n"
    assert build("triggers", "remove", "push").out == "removed the trigger push\n"
    assert build("triggers", "show", "push").err == "Error: there is no trigger named 'push'\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--param", "SHA"), "--param: 'SHA' is no mapping; write NAME=json:/a/b, NAME=header:X or NAME=output:Y"),
        (("--param", "PATH=json:/a"), "params: PATH: programs that steps start run other code"),
        (("--filter", "x"), "filters: 'x' is no filter"),
        (("--header", "X-Sig"), "settings: the scheme github knows where its signature is"),
        (("--secret-file", "/nothing"), "--secret-file: /nothing cannot be read"),
        (("--key-file", "/nothing"), "--key-file: /nothing cannot be read"),
        (("--files", "/srv/*"), "give one of --webhook, --after, --files, --sftp and --http"),
        (("--every", "often"), "--every: 'often' is no duration; write one such as 60s or 15m"),
        (("--every", "60s"), "everySeconds: a trigger of the kind webhook does not look"),
    ],
)
def test_what_is_wrong_is_named_with_its_option(build: Command, options: tuple[str, ...], message: str) -> None:
    refused = build(*PUSH, *options)
    assert (refused.status, message in refused.err) == (1, True), refused.err


def test_an_event_is_tried_out_without_a_server(build: Command, tmp_path: Path) -> None:
    build(*PUSH, "--param", "SHA=json:/after", "--filter", "header:X-Kind = a")
    (tmp_path / "sample.json").write_text('{"after": "4f1c"}')
    tried = build("triggers", "test", "push", "--body", tmp_path / "sample.json", "--header", "X-Kind: a")
    assert [line.split(maxsplit=1) for line in tried.out.splitlines()[2:]] == [
        ["event", "SHA=4f1c"],
        ["DAG", "build, revision 1"],
        ["queue", "build, priority 0"],
        ["param", "SHA=4f1c"],
        ["step", "a"],
    ]
    filtered = json.loads(build("triggers", "test", "push", "--json").out)
    assert filtered == {"matches": False, "filter": "the filter 'header:X-Kind = a' does not hold", "params": {}}
    missing = build("triggers", "test", "push", "--body", "/nothing")
    assert (missing.status, "--body: /nothing cannot be read" in missing.err) == (1, True)


def test_an_event_that_is_not_there_is_named_and_so_is_a_revision_that_is_no_number(build: Command) -> None:
    for words in (("replay", "--revision", "17"), ("discard",), ("event", "--body")):
        missing = build("triggers", *words, "x")
        assert (missing.status, "no trigger has an event 'x'" in missing.err) == (1, True)
    refused = build("triggers", "replay", "x", "--revision", "first")
    assert (refused.status, "--revision: 'first' is no number of a revision" in refused.err) == (1, True)


def test_a_trigger_that_looks_says_when_and_what_it_begins_with(build: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    add = ("triggers", "add", "inbox", "--dag", "build", "--files", tmp_path / "*.csv", "--param", "FILE=item:path")
    added = build(*add, "--every", "15m", "--settle", "30s", "--marker", ".done")
    assert (added.status, added.err) == (0, "")
    assert added.out == (
        "trigger inbox: looks every 900 s, and at once when the directory changes; 0 files are there already and start "
        "nothing\n"
    )
    assert build("triggers").out.splitlines()[1].split()[:6] == ["inbox", "build", "files", "nothing", "new", "since"]
    assert build("triggers", "set", "inbox", "--marker", "", "--every", "60").out == "changed the trigger inbox\n"
    found = shown(build, "inbox")
    assert (found["settings"], found["everySeconds"]) == ({"files": f"{tmp_path}/*.csv", "settle": 30}, 60)
    assert "waiting for a look" in build("triggers").out
    assert build("triggers", "secret", "inbox").err.startswith("Error: secret: is missing")
    for options, end in (
        (("--existing",), "what is there already starts runs, too\n"),
        (
            ("--host", "elsewhere"),
            "looks every 60 s on elsewhere, and at once when the directory changes; what is there",
        ),
        ((), "1 file is there already and starts nothing\n"),
    ):
        build("triggers", "remove", "inbox")
        assert end in build(*add, *options).out
