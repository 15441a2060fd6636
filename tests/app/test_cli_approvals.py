"""``dagbook approvals`` at a remote server, in words and as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from tests.app.program import CommandResult
from tests.app.remote_server import RemoteDagbook
from tests.waiting import PATIENCE_SECONDS

Command = Callable[..., CommandResult]
SPEC = 'steps: [{name: gate, type: hitl, config: {prompt: "Ship?", input: [TICKET], required: [TICKET]}}]\n'
CALLING = f"steps: [{{name: call, call: kid}}]\n---\nname: kid\n{SPEC}"


def _start(remote: RemoteDagbook, name: str, spec: str = SPEC) -> None:
    """Start a run r1 that waits for an approval."""
    remote.request("POST", "/dag-runs", json={"spec": spec, "name": name, "dagRunId": "r1"})
    until = time.monotonic() + PATIENCE_SECONDS
    while name not in json.dumps(remote.request("GET", "/approvals")):
        assert time.monotonic() < until, "the run does not ask"


def test_what_waits_is_listed_and_approved(at: Command, remote: RemoteDagbook) -> None:
    _start(remote, "ship")
    assert "Ship?" in at("approvals", "list").out
    assert "waiting for approval" in at("runs", "ship", "--status", "waiting").out
    assert "ship" not in at("runs", "ship", "--status", "running").out
    assert "waiting for approval" in at("status", "ship").out
    assert "waiting for approval" in at("ps").out
    said = at("approvals", "approve", "ship", "r1", "gate")
    assert (said.status, said.err) == (1, "Error: inputs: TICKET: must be given to approve this step\n")
    assert "write NAME=VALUE" in at("approvals", "approve", "ship", "r1", "gate", "--input", "TICKET").err
    said = at("approvals", "approve", "ship", "r1", "gate", "--input", "TICKET=OPS=7")
    assert said == CommandResult(0, "approved gate\n", "")
    node = remote.request("GET", "/dag-runs/ship/r1")["dagRunDetails"]["nodes"][0]
    assert node.get("approvalInputs", {"TICKET": "OPS=7"}) == {"TICKET": "OPS=7"}
    assert at("approvals", "approve", "ship", "r1", "gate").status == 1


def test_a_rejection_in_a_called_dag_has_a_reason(at: Command, remote: RemoteDagbook) -> None:
    _start(remote, "caller", CALLING)
    (waiting,) = json.loads(at("approvals", "list", "--json").out)["approvals"]
    words = ("approvals", "reject", "caller", "r1", "gate", "--sub-run", waiting["dagRunId"], "--reason", "no")
    assert json.loads(at(*words, "--json").out) == {"dagRunId": waiting["dagRunId"], "stepName": "gate"}
    assert json.loads(at("approvals", "list", "--json").out)["approvals"] == []
