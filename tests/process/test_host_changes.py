"""The world changes under a running step: its spool is lost, restored elsewhere, its container replaced (promise R17).

No execution begins twice, its step ends with the reason, and where the machine is the same that is soon.
"""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dagbook.db.url import sqlite_path
from tests.process import conftest, invariants, processes, store
from tests.process.namespaces import NamespaceServer, may_have_namespaces
from tests.process.program import Program, node
from tests.process.server import Server
from tests.process.waiting import wait_for

GONE = "what the step left behind is gone"
SPEC = """
steps:
  - name: first
    command: |
      echo "begun" >>{directory}/witness
      echo begun
      while [ ! -e {directory}/go ]; do sleep 0.05; done
      echo ended
    {more}
  - name: second
    command: cat ${{first.stdout}}
"""
RETRY = "id: first\n    retryPolicy: {limit: 1, intervalSec: 0}"
on_sqlite_only = pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)
in_namespaces = pytest.mark.skipif(not may_have_namespaces(), reason="no PID namespace may be made here (unshare)")


class World:
    """A folder with homes, the servers that were started there, and a witness of steps that began."""

    def __init__(self, directory: Path, make_url: Callable[[Path], str]) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.url = make_url(self.home)
        self.servers: list[Server] = []
        self.run_id = ""

    def serve(self, server: Server) -> Server:
        self.servers.append(server)
        return server.start()

    def begin(self, server: Server, more: str = "id: first") -> None:
        """Start a run and wait until its first step writes."""
        self.run_id = server.api.start(SPEC.format(directory=self.directory, more=more))
        wait_for("the step", lambda: server.api.log(self.run_id, "first") == "begun")
        wait_for("its beginning to be stored", lambda: self._executed_at(server.database_url) is not None)

    def _executed_at(self, url: str) -> Any:
        return store.query(url, "SELECT executed_at FROM nodes WHERE position = 0")[0].executed_at

    def begun(self) -> int:
        """Count how often the first step began."""
        return (self.directory / "witness").read_text().count("begun")

    def release(self) -> None:
        """Let the step end."""
        (self.directory / "go").touch()

    def end_steps(self) -> None:
        """Leave no step of a killed server behind."""
        for server in self.servers:
            conftest.end(server)
        processes.kill_sessions(str(self.directory))

    def check_gone(self, server: Server, *, seconds: float = 15) -> None:
        """The step has failed with the reason within so many seconds of the server's first answer."""
        run = server.api.ended(self.run_id, seconds=seconds)
        assert run["statusLabel"] == "failed"
        assert node(run, "first")["error"].startswith(GONE)
        assert self.begun() == 1


@pytest.fixture
def world(tmp_path: Path, make_url: Callable[[Path], str]) -> Iterator[World]:
    made = World(tmp_path, make_url)
    try:
        yield made
    finally:
        made.end_steps()
    for url in {server.database_url for server in made.servers}:
        assert invariants.find_violations(url) == []


def _back_up(url: str, home: Path) -> str:
    """Copy a SQLite database into another home, as a backup tool does while the server goes on."""
    home.mkdir(mode=0o700)
    source = sqlite_path(url)
    assert source is not None
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(home / source.name)) as copy:
        original.backup(copy)
    return f"sqlite:///{home / source.name}"


@on_sqlite_only
@pytest.mark.parametrize("noted", [True, False], ids=["begun", "about-to-begin"])
def test_a_backup_restored_in_another_home_begins_no_step_again(world: World, noted: bool) -> None:
    first = world.serve(Program(world.home, world.url))
    world.begin(first)
    first.kill()
    url = _back_up(world.url, world.directory / "restored")
    if not noted:  # as in the moment between the commit that lets it begin and the one that says it did
        store.write(url, lambda connection: connection.exec_driver_sql("UPDATE nodes SET executed_at = NULL"))
    world.check_gone(world.serve(Program(world.directory / "restored", url)))


@on_sqlite_only
def test_a_copied_database_beside_its_original_touches_none_of_the_original_s_steps(world: World) -> None:
    original = world.serve(Program(world.home, world.url))
    world.begin(original)
    url = _back_up(world.url, world.directory / "copy")
    shutil.copytree(world.home / "spool", world.directory / "copy" / "spool", symlinks=True)
    world.check_gone(world.serve(Program(world.directory / "copy", url)))
    world.release()
    run = original.api.ended(world.run_id)
    assert run["statusLabel"] == "succeeded"
    assert original.api.log(world.run_id, "second") == "begun\nended"


@on_sqlite_only
def test_a_step_of_a_server_that_noted_no_spool_goes_on_after_an_upgrade(world: World) -> None:
    first = world.serve(Program(world.home, world.url))
    world.begin(first)
    first.kill()
    store.write(world.url, lambda connection: connection.exec_driver_sql("UPDATE services SET spool_id = NULL"))
    second = world.serve(Program(world.home, world.url))
    world.release()
    assert second.api.ended(world.run_id)["statusLabel"] == "succeeded"
    assert (second.api.log(world.run_id, "first"), world.begun()) == ("begun\nended", 1)


@pytest.mark.parametrize("make_url", ["postgresql"], indirect=True)
def test_a_home_that_was_replaced_begins_no_step_again(world: World) -> None:
    first = world.serve(Program(world.home, world.url))
    world.begin(first)
    first.kill()
    shutil.rmtree(world.home)
    world.check_gone(world.serve(Program(world.home, world.url)))


@on_sqlite_only
def test_a_file_that_is_gone_from_the_spool_begins_no_step_again(world: World) -> None:
    first = world.serve(Program(world.home, world.url))
    world.begin(first)
    first.kill()
    for path in (world.home / "spool").glob("*.started"):
        path.unlink()
    world.check_gone(world.serve(Program(world.home, world.url)))


@on_sqlite_only
def test_a_retry_after_a_lost_spool_goes_on_behind_the_stored_output(world: World) -> None:
    first = world.serve(Program(world.home, world.url))
    world.begin(first, RETRY)
    first.kill()
    shutil.rmtree(world.home / "spool")
    second = world.serve(Program(world.home, world.url))
    wait_for("the retry", lambda: world.begun() == 2)
    world.release()
    run = second.api.ended(world.run_id)
    assert run["statusLabel"] == "succeeded"
    assert node(run, "first")["retryCount"] == 1
    whole = "begun\nbegun\nended"
    assert (second.api.log(world.run_id, "first"), second.api.log(world.run_id, "second")) == (whole, whole)


@in_namespaces
@pytest.mark.parametrize(("how", "seconds"), [(signal.SIGTERM, 15), (signal.SIGKILL, 30)], ids=["stopped", "killed"])
def test_the_runs_of_a_replaced_container_are_taken_over_at_once(
    world: World, how: signal.Signals, seconds: float
) -> None:
    container = NamespaceServer(world.home, world.url)
    world.serve(container)
    world.begin(container)
    container.end(how)
    container.start()
    run = container.api.ended(world.run_id, seconds=seconds)
    # Unless the new namespace happens to have the number of the old one, the error names it.
    assert node(run, "first")["error"].startswith("ended without an exit status")
    assert world.begun() == 1


@in_namespaces
@pytest.mark.parametrize("make_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_replaced_container_without_its_volume_begins_no_step_again(world: World, how: signal.Signals) -> None:
    container = NamespaceServer(world.home, world.url)
    world.serve(container)
    world.begin(container)
    container.end(how)
    shutil.rmtree(world.home)
    container.start()
    world.check_gone(container, seconds=30)


@in_namespaces
@pytest.mark.parametrize("make_url", ["postgresql"], indirect=True)
def test_a_pod_of_another_name_shows_the_reason_at_once_and_waits_for_the_grace_alone(world: World) -> None:
    settings = {"orphan_grace_seconds": "6"}
    first = NamespaceServer(world.home, world.url, host="pod-1", settings=settings)
    world.serve(first)
    second = world.serve(NamespaceServer(world.directory / "other", world.url, host="pod-2", settings=settings))
    world.begin(first)
    first.end(signal.SIGTERM)
    stopped = time.monotonic()
    assert second.api.run(world.run_id)["reason"].startswith("owner lost since ")
    world.check_gone(second, seconds=6 + 15)
    assert time.monotonic() - stopped > 6


@in_namespaces
@on_sqlite_only
def test_steps_that_go_on_in_another_namespace_are_followed_to_their_end(world: World) -> None:
    """As those of a server beside others in a container: they are seen by what they write."""
    nested = NamespaceServer(world.home, world.url, outlived=True)
    world.serve(nested)
    world.begin(nested)
    nested.end(signal.SIGKILL)
    outside = world.serve(Program(world.home, world.url))
    wait_for("the adoption", lambda: "adopting run" in outside.log_text())
    assert outside.api.run(world.run_id)["statusLabel"] == "running"
    world.release()
    run = outside.api.ended(world.run_id)
    assert (run["statusLabel"], world.begun()) == ("succeeded", 1)
    assert outside.api.log(world.run_id, "first") == "begun\nended"
