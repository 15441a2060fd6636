"""``dagbook approvals`` at a far server, in words and as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.app.far_server import Far, serving_far
from tests.app.program import Said
from tests.waiting import PATIENCE_SECONDS

Command = Callable[..., Said]
SPEC = 'steps: [{name: gate, type: hitl, config: {prompt: "Ship?", input: [TICKET], required: [TICKET]}}]\n'
CALLING = f"steps: [{{name: call, call: kid}}]\n---\nname: kid\n{SPEC}"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with serving_far(tmp_path_factory.mktemp("far")) as server:
        yield server


@pytest.fixture
def at(command: Command, far: Far, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("DAGBOOK_SERVER", far.url)
    monkeypatch.setenv("DAGBOOK_TOKEN", far.token)
    return command


def _start(far: Far, name: str, spec: str = SPEC) -> None:
    """Start a run r1 that waits for an approval."""
    far.request("POST", "/dag-runs", json={"spec": spec, "name": name, "dagRunId": "r1"})
    until = time.monotonic() + PATIENCE_SECONDS
    while name not in json.dumps(far.request("GET", "/approvals")):
        assert time.monotonic() < until, "the run does not ask"


def test_what_waits_is_listed_and_approved(at: Command, far: Far) -> None:
    _start(far, "ship")
    assert "Ship?" in at("approvals", "list").out
    said = at("approvals", "approve", "ship", "r1", "gate")
    assert (said.status, said.err) == (1, "Error: inputs: TICKET: must be given to approve this step\n")
    assert "write NAME=VALUE" in at("approvals", "approve", "ship", "r1", "gate", "--input", "TICKET").err
    said = at("approvals", "approve", "ship", "r1", "gate", "--input", "TICKET=OPS=7")
    assert said == Said(0, "approved gate\n", "")
    node = far.request("GET", "/dag-runs/ship/r1")["dagRunDetails"]["nodes"][0]
    assert node.get("approvalInputs", {"TICKET": "OPS=7"}) == {"TICKET": "OPS=7"}
    assert at("approvals", "approve", "ship", "r1", "gate").status == 1


def test_a_rejection_in_a_called_dag_has_a_reason(at: Command, far: Far) -> None:
    _start(far, "caller", CALLING)
    (waiting,) = json.loads(at("approvals", "list", "--json").out)["approvals"]
    words = ("approvals", "reject", "caller", "r1", "gate", "--sub-run", waiting["dagRunId"], "--reason", "no")
    assert json.loads(at(*words, "--json").out) == {"dagRunId": waiting["dagRunId"], "stepName": "gate"}
    assert json.loads(at("approvals", "list", "--json").out)["approvals"] == []
