"""``dagbook serve --demo``: what the examples do, and where they are put."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.process import processes
from tests.process.conftest import end
from tests.process.program import Program
from tests.process.waiting import wait_for

OTHER = "steps:\n  - command: 'true'\n"


class Demo(Program):
    """A demo; ``home`` is where it is expected, and it is told only if it is ``chosen``."""

    def __init__(self, home: Path, *, chosen: bool = True) -> None:
        super().__init__(home)
        self._chosen = chosen

    def _command(self) -> list[str]:
        return self._program("serve", "--demo")

    def _environment(self) -> dict[str, str]:
        given = super()._environment() | {"TMPDIR": str(self.home.parent)}
        del given["DAGBOOK_DATABASE_URL"]
        if not self._chosen:
            del given["DAGBOOK_HOME"]
        return given

    def names(self) -> set[str]:
        found = self.api.client.get("/dags", params={"perPage": 100}).json()["dags"]
        return {one["fileName"] for one in found}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    server = Demo(tmp_path_factory.mktemp("demo") / "home")
    try:
        yield server.start()
    finally:
        end(server)


class Expected(NamedTuple):
    """How a run of an example ends, and the output of one of its steps."""

    status: str
    step: str
    output: str


EXPECTED = {
    "approval": Expected("succeeded", "publish", "built version 1.2.3 because it is tested"),
    "diamond": Expected("succeeded", "report", "the sum is 5050, the largest 100"),
    "every-ten-minutes": Expected("succeeded", "disk", ""),
    "for-each": Expected(
        "succeeded", "summary", "Lisbon: 35 degrees\nOslo: 16 degrees\nNairobi: 21 degrees\nLima: 16 degrees"
    ),
    "handlers": Expected("succeeded", "onExit", "this runs in any case, last"),
    "hello": Expected("succeeded", "greet", "Hello, world, your name has 5 letters."),
    "one-at-a-time": Expected("succeeded", "use the only machine", ""),
    "retry": Expected("partially_succeeded", "flaky", "attempt number 1\nattempt number 2\nattempt number 3"),
}


def test_all_examples_run_to_their_results(demo: Demo) -> None:
    # In a queue, because every tenth minute the schedule of one of them is running it already.
    started = {name: _start(demo, name, how="enqueue") for name in EXPECTED}
    _approve(demo, started["approval"])
    for name, expected in EXPECTED.items():
        run = demo.api.ended(started[name], name=name)
        output = demo.api.log(started[name], expected.step, name=name)
        assert (name, run["statusLabel"]) == (name, expected.status)
        assert expected.output in output


def test_another_outcome_of_the_handlers(demo: Demo) -> None:
    run_id = _start(demo, "handlers", params='{"OUTCOME": "bad"}')
    assert demo.api.ended(run_id, name="handlers")["statusLabel"] == "failed"
    assert demo.api.log(run_id, "onFailure", name="handlers") == f"please look at run {run_id}"


def test_runs_of_one_at_a_time_wait_for_each_other(demo: Demo) -> None:
    runs = [_start(demo, "one-at-a-time", how="enqueue") for _ in range(2)]
    ended = sorted((demo.api.ended(run_id, name="one-at-a-time") for run_id in runs), key=lambda run: run["startedAt"])
    assert ended[0]["finishedAt"] <= ended[1]["startedAt"]


def test_a_second_start_adds_only_what_is_missing_and_none_to_other_dags(tmp_path: Path) -> None:
    server = Demo(tmp_path / "home").start()
    try:
        assert server.names() == set(EXPECTED)
        server.api.client.delete("/dags/retry")
        changed = server.api.client.put("/dags/hello/spec", json={"spec": OTHER})
        assert changed.is_success
        server.terminate()
        server.start()
        assert server.names() == set(EXPECTED)
        assert server.api.client.get("/dags/hello/spec").json()["spec"] == OTHER
        server.api.client.delete("/dags/retry")
        server.api.store("mine", OTHER)
        server.terminate()
        server.start()
        assert server.names() == {*EXPECTED, "mine"} - {"retry"}
        assert "Demo: the database has other DAGs (1), so no example is added" in server.log_text()
    finally:
        end(server)
    assert (tmp_path / "home" / "dagbook.sqlite3").exists()


def test_a_home_that_is_not_chosen_is_temporary_and_kept_while_steps_run(tmp_path: Path) -> None:
    server = Demo(tmp_path / "unused", chosen=False).start()
    (home,) = tmp_path.glob("dagbook-demo-*")
    try:
        assert f" dagbook run hello --home {home}\n" in server.log_text()
        server.api.start("steps:\n  - command: sleep 600\n")
        wait_for("a step", lambda: processes.with_argument(f"{home}/spool"))
        assert server.terminate() == 0
        assert (home / "dagbook.sqlite3").exists()
        assert server.log_text().endswith(f" dagbook serve --home {home}\n")
    finally:
        server.kill()
        processes.kill_sessions(str(home / "spool"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_temporary_home_is_gone_after_ctrl_c_and_when_the_terminal_is_closed(
    tmp_path: Path, number: signal.Signals
) -> None:
    server = Demo(tmp_path / "unused", chosen=False)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
    try:
        server.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        (home,) = tmp_path.glob("dagbook-demo-*")
        assert server.end(number) == 0
        assert not home.exists()
        assert not server.home.exists()
    finally:
        server.kill()


def _start(demo: Demo, name: str, how: str = "start", **body: Any) -> str:
    answer = demo.api.client.post(f"/dags/{name}/{how}", json=body)
    assert answer.is_success, answer.text
    return str(answer.json()["dagRunId"])


def _approve(demo: Demo, run_id: str) -> None:
    def try_to() -> bool:
        path = f"/dag-runs/approval/{run_id}/steps/release/approve"
        return demo.api.client.post(path, json={"inputs": {"REASON": "it is tested"}}).is_success

    wait_for("the question", try_to)
