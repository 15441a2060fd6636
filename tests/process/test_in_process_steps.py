"""Steps that work inside the server end with it: in order if it is asked to end, interrupted if it is killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from dagbook.engine.status import NodeStatus
from tests.process import store
from tests.process.program import Program, node
from tests.process.slow_web_server import Peer, listening
from tests.process.waiting import wait_for

HTTP = """
steps:
  - name: ask
    executor: {{type: http, config: {{silent: true}}}}
    command: GET {url}/ask
    {retry}
  - name: again
    executor: {{type: http, config: {{silent: true}}}}
    command: GET {url}/again
"""

OTHER = """
steps:
  - name: other
    executor: http
    command: GET {url}/other
"""


@pytest.fixture
def peer() -> Iterator[Peer]:
    with listening() as found:
        yield found


def _begin(program: Program, peer: Peer, retry: str = "") -> str:
    run_id = program.api.start(HTTP.format(url=peer.url, retry=retry))
    wait_for("the answer's beginning", lambda: program.api.log(run_id, "ask") == "begun")
    return run_id


def test_a_request_whose_server_is_killed_is_interrupted_and_its_outcome_unknown(program: Program, peer: Peer) -> None:
    run_id = _begin(program, peer)
    program.kill()
    peer.release("/ask", "/again")
    program.start()
    run = program.api.ended(run_id)
    ask = node(run, "ask")
    assert (run["statusLabel"], ask["statusLabel"]) == ("failed", "failed")
    assert ask["error"] == "interrupted: its server ended, the outcome is unknown"
    assert (peer.asked, program.api.log(run_id, "ask")) == (["/ask"], "begun")


def test_an_interrupted_request_is_tried_again_by_its_retry_policy(program: Program, peer: Peer) -> None:
    run_id = _begin(program, peer, "retryPolicy: {limit: 1, intervalSec: 0}")
    program.kill()
    peer.release("/ask", "/again")
    program.start()
    run = program.api.ended(run_id)
    assert (run["statusLabel"], node(run, "ask")["retryCount"]) == ("succeeded", 1)
    assert peer.asked == ["/ask", "/ask", "/again"]


def test_a_server_that_is_asked_to_end_waits_for_requests_and_begins_no_other(program: Program, peer: Peer) -> None:
    """Another run's request keeps the server waiting, so that there is time for what should not begin."""
    run_id = _begin(program, peer)
    other = program.api.start(OTHER.format(url=peer.url), name="other")
    wait_for("the other request", lambda: "/other" in peer.asked)
    program.send(signal.SIGTERM)
    wait_for("the server to wait", lambda: "for steps that would die with this server" in program.log_text())
    peer.release("/ask", "/again")
    wait_for("the end of the first request", lambda: _statuses(program, run_id) == ["succeeded", "running"])
    peer.release("/other")
    assert program.terminate() == 0
    assert peer.asked == ["/ask", "/other"]
    program.start()
    assert (
        program.api.ended(run_id)["statusLabel"] == program.api.ended(other, name="other")["statusLabel"] == "succeeded"
    )
    assert peer.asked == ["/ask", "/other", "/again"]
    assert program.api.log(run_id, "ask") == program.api.log(run_id, "again") == "begun\nended"


def _statuses(program: Program, run_id: str) -> list[str]:
    """Read the statuses of a run's steps where they are, for a server that answers no more."""
    found = store.query(
        program.database_url,
        "SELECT n.status FROM nodes n JOIN runs r ON r.id = n.run_id WHERE r.run_id = :run_id AND n.position >= 0 "
        "ORDER BY n.position",
        run_id=run_id,
    )
    return [NodeStatus(row.status).label for row in found]


def test_a_jq_program_outlives_its_server(program: Program) -> None:
    spec = "steps:\n  - name: endless\n    executor: jq\n    command: '1, (def f: f; f)'\n    script: '0'\n"
    run_id = program.api.start(spec)
    wait_for("the first result", lambda: program.api.log(run_id, "endless") == "1")
    program.kill()
    program.start()
    program.api.stop(run_id)
    run = program.api.ended(run_id)
    assert run["statusLabel"] == node(run, "endless")["statusLabel"] == "aborted"
    assert not program.shims()
