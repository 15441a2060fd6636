"""A file that arrives starts a run, once, when it has come to rest."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dagbook.db.database import ReadConnection
from dagbook.db.repositories.triggers.looks import LookRow
from tests.app.look_scene import SETTLE, LookScene, Watcher, look_scene
from tests.app.test_hostile_data import PAYLOADS
from tests.waiting import wait_until


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[LookScene]:
    async with look_scene(database_url, tmp_path) as opened:
        yield opened


async def trigger(scene: LookScene, name: str = "inbox") -> Any:
    return await scene.ok("GET", f"/triggers/{name}")


async def test_a_new_file_is_one_run_with_its_path_and_what_was_there_is_none(scene: LookScene) -> None:
    for name in ("a", "b"):
        scene.file(name)
    added = await scene.watch()
    assert (added["kind"], added["items"], added["everySeconds"], "baselineAt" in added) == ("files", 2, 60, True)
    scene.file("new.csv")
    assert await scene.rest() == ["new.csv"]
    (event,) = await scene.until_settled("inbox")
    run = await scene.finished(event, "load")
    assert (run.details["trigger"], run.details.get("actor")) == ("file", None)
    assert await run.log("show") == f"{scene.inbox}/new.csv"
    item = {each: event["item"][each] for each in ("name", "directory", "size")}
    assert item == {"name": "new.csv", "directory": str(scene.inbox), "size": 4}
    assert event["params"] == {"FILE": f"{scene.inbox}/new.csv"}
    assert await scene.rest() == ["new.csv"]
    assert (await trigger(scene))["items"] == 3


async def test_the_first_look_may_start_what_is_there(scene: LookScene) -> None:
    scene.file("a")
    assert (await scene.watch(settings={"existing": True}))["items"] == 0
    assert await scene.rest() == ["a"]


async def test_a_file_that_grows_is_one_run_after_it_rests(scene: LookScene) -> None:
    await scene.watch()
    for size in range(1, 5):
        scene.file("a", "x" * size)
        await scene.watcher.look(after=61)
        await scene.watcher.look(after=SETTLE / 2)
        assert await scene.events("inbox") == []
    assert await scene.rest() == ["a"]


async def test_a_file_that_is_renamed_changed_or_put_back_is_a_run_each_time(scene: LookScene) -> None:
    await scene.watch()
    part = scene.file("a.part", at=5)
    assert await scene.rest() == []
    part.rename(scene.inbox / "a")
    assert await scene.rest() == ["a"]
    scene.file("a", "changed", at=6)
    assert await scene.rest() == ["a", "a"]
    (scene.inbox / "a").unlink()
    assert await scene.rest() == ["a", "a"]
    scene.file("a", "changed", at=6)
    assert await scene.rest() == ["a", "a", "a"]
    assert len({each["key"] for each in await scene.events("inbox")}) == 3


async def test_links_pipes_and_directories_start_nothing_and_are_not_opened(scene: LookScene, tmp_path: Path) -> None:
    await scene.watch()
    (tmp_path / "outside").write_text("x")
    (scene.inbox / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(scene.inbox / "pipe")
    (scene.inbox / "directory").mkdir()
    Path(os.fsdecode(bytes(scene.inbox) + b"/\xff")).write_text("x")
    assert await scene.rest() == []


async def test_with_a_marker_a_file_counts_as_soon_as_that_is_there(scene: LookScene) -> None:
    await scene.watch(settings={"marker": ".done"})
    scene.file("a")
    assert await scene.rest() == []
    scene.file("a.done")
    await scene.watcher.look(after=61)
    assert [each["item"]["name"] for each in await scene.events("inbox")] == ["a"]


@pytest.mark.parametrize(("together", "lists"), [(True, 1), (False, 50)])
async def test_the_new_files_of_a_look_are_one_run_together_or_one_each(
    scene: LookScene, together: bool, lists: int
) -> None:
    await scene.watch(together=together)
    names = [f"file{number:02}" for number in range(50)]
    for number, name in enumerate(names):
        scene.file(name, at=1_000 + number)
    await scene.watcher.look(after=61)
    await scene.watcher.look(after=SETTLE)
    found = [each["item"]["name"] for each in await scene.events("inbox")]
    if together:
        (found,) = found
    assert (found, len(await scene.until_settled("inbox"))) == (names, lists)


async def test_filters_see_what_was_found(scene: LookScene) -> None:
    await scene.watch(filters=["item:name ~ ^a"])
    scene.file("a")
    scene.file("b")
    await scene.rest()
    states = {each["item"]["name"]: each["state"] for each in await scene.until_settled("inbox")}
    assert states == {"a": "started", "b": "filtered"}


async def test_no_command_in_a_name_runs(scene: LookScene, tmp_path: Path) -> None:
    hit = tmp_path / "hit"
    await scene.watch(params={"FILE": "item:name"})
    names = [name for each in PAYLOADS if not set("/\0") & set(name := each.format(hit="hit")) and len(name) < 200]
    assert len(names) > 5
    for name in names:
        scene.file(name)
    await scene.watcher.look(after=61)
    await scene.watcher.look(after=SETTLE)
    events = await scene.until_settled("inbox")
    shown = [await (await scene.finished(event, "load")).log("show") for event in events]
    counted = [name for name in names if not name.startswith(".")]
    assert sorted(shown) == sorted(counted)
    assert not hit.exists()
    assert list(tmp_path.rglob("hit")) == []


# -- many looks, and several servers ---------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_looks_that_find_nothing_write_once_a_minute_and_leave_no_run(
    scene: LookScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"w{number}" for number in range(30)]
    for name in names:
        await scene.watch(name, everySeconds=10)
    await scene.watcher.looks.stop()
    before = {name: (await trigger(scene, name))["looks"] for name in names}
    written: dict[str, list[float]] = defaultdict(list)  # the times of the writes for each trigger
    write = scene.database.write

    async def noted(work: Any, *arguments: Any, **options: Any) -> Any:
        if "triggers.looks" in work.__module__:
            row = arguments[0] if arguments else None
            written[row.name if isinstance(row, LookRow) else work.__qualname__].append(scene.watcher.seconds)
        return await write(work, *arguments, **options)

    monkeypatch.setattr(scene.database, "write", noted)
    for _ in range(100):
        await scene.watcher.look(after=10)
    monkeypatch.undo()
    assert sorted(written) == sorted(names)
    assert all(later - earlier >= 60 for times in written.values() for earlier, later in pairwise(times))
    await scene.watcher.looks.stop()
    assert {name: (await trigger(scene, name))["looks"] - before[name] for name in names} == dict.fromkeys(names, 100)
    for table in ("trigger_events", "runs", "report_v1_runs"):
        assert await scene.database.read(count_rows, table) == 0


def count_rows(connection: ReadConnection, table: str) -> Any:
    return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()  # noqa: S608 - of this module


@pytest.mark.both_engines
async def test_one_of_two_servers_looks_and_the_other_goes_on_when_it_stops(scene: LookScene) -> None:
    other = Watcher(scene.server, "other")
    await scene.watch()
    scene.file("a")
    for watcher in (other, scene.watcher, other, scene.watcher):
        await watcher.look(after=61)
    assert [each["item"]["name"] for each in await scene.events("inbox")] == ["a"]
    await scene.watcher.looks.stop()
    await other.look(after=61)
    await other.look(after=SETTLE)
    scene.file("b")
    await other.look(after=61)
    await other.look(after=SETTLE)
    assert [each["item"]["name"] for each in await scene.events("inbox")] == ["a", "b"]
    await other.looks.stop()


async def test_a_server_that_has_lost_its_lease_stores_nothing(scene: LookScene) -> None:
    await scene.watch()
    scene.file("a")
    await scene.watcher.look(after=61)
    other = Watcher(scene.server, "other")
    await scene.database.write(_expire)
    await other.look()
    await scene.watcher.look(after=SETTLE)
    assert await scene.events("inbox") == []
    await other.look(after=SETTLE)
    assert len(await scene.events("inbox")) == 1
    await other.looks.stop()


def _expire(connection: Any) -> None:
    connection.exec_driver_sql("UPDATE triggers SET lease_until = created_at, next_look_at = created_at")


async def test_a_host_looks_for_itself_and_makes_the_first_look(scene: LookScene) -> None:
    scene.file("a")
    added = await scene.watch(host="there")
    assert ("baselineAt" in added, added["host"], added["items"]) == (False, "there", 0)
    await scene.watcher.look(after=61)
    assert "baselineAt" not in await trigger(scene)
    there = Watcher(scene.server, "other", "there")
    await there.look()
    assert (await trigger(scene))["items"] == 1
    await there.looks.stop()


# -- problems, and changes -------------------------------------------------------------------------------------------


async def test_a_directory_that_is_gone_is_a_problem_after_three_looks_until_it_is_back(scene: LookScene) -> None:
    await scene.watch()
    scene.inbox.rmdir()
    for _ in range(2):
        await scene.watcher.look(after=61)
    assert "problem" not in await trigger(scene)
    await scene.watcher.look(after=61)
    found = await trigger(scene)
    assert found["problem"] == f"{scene.inbox} cannot be listed: No such file or directory"
    assert "problemSince" in found
    scene.inbox.mkdir()
    scene.file("a")
    assert await scene.rest() == ["a"]
    assert "problem" not in await trigger(scene)


async def test_a_directory_that_cannot_be_listed_is_refused(scene: LookScene) -> None:
    await scene.dag("load")
    body = {"name": "x", "dag": "load", "kind": "files", "settings": {"files": "/nothing/*"}}
    refused = await scene.client.post("/triggers", json=body)
    assert refused.status_code == 400
    assert refused.json()["message"] == (
        "settings: the first look failed: /nothing cannot be listed: No such file or directory"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may switch users here")
async def test_a_directory_is_listed_as_the_account_of_the_dag(scene: LookScene) -> None:
    await scene.watch()
    scene.file("a")
    scene.inbox.chmod(0o700)
    await scene.ok("PUT", "/dags/load/run-as", account="nobody")
    for _ in range(3):
        await scene.watcher.look(after=61)
    assert (await trigger(scene))["problem"] == f"{scene.inbox} cannot be listed: Permission denied"
    assert await scene.events("inbox") == []


async def test_another_place_begins_with_a_first_look_of_its_own(scene: LookScene, tmp_path: Path) -> None:
    scene.file("a")
    await scene.watch()
    scene.inbox = tmp_path / "other"
    scene.inbox.mkdir()
    scene.file("b")
    changed = await scene.ok("PATCH", "/triggers/inbox", settings={"files": f"{scene.inbox}/*"})
    assert ("baselineAt" in changed, changed["items"]) == (False, 0)
    assert await scene.rest() == []
    scene.file("c")
    assert await scene.rest() == ["c"]


async def test_a_paused_trigger_looks_and_its_events_wait(scene: LookScene) -> None:
    await scene.watch()
    await scene.ok("POST", "/triggers/inbox/pause")
    scene.file("a")
    await scene.rest()
    (event,) = await scene.events("inbox")
    assert (event["state"], event["reason"]) == ("waiting", "the trigger is paused")
    await scene.ok("POST", "/triggers/inbox/resume")
    (event,) = await scene.until_settled("inbox")
    assert event["state"] == "started"


async def test_without_its_dag_nothing_is_looked_for(scene: LookScene) -> None:
    await scene.watch()
    await scene.ok("DELETE", "/dags/load")
    scene.file("a")
    assert await scene.rest() == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"settings": {"url": "http://x"}}, "settings.url: is no option of a trigger of the kind files"),
        ({"secret": "x" * 20}, "secret: a directory of this machine needs none"),
        ({"params": {"A": "json:/a"}}, "json:/a: a trigger of the kind files has no such value"),
        ({"everySeconds": 9}, "everySeconds"),
        ({"kind": "pigeon"}, "kind: 'pigeon' is no kind of trigger; write one of webhook, after, files"),
        ({"kind": "webhook", "scheme": "github", "host": "x"}, "host: a trigger of the kind webhook does not look"),
    ],
)
async def test_what_is_wrong_is_named(scene: LookScene, body: dict[str, Any], message: str) -> None:
    await scene.dag("load")
    given = {"name": "x", "dag": "load", "kind": "files", "settings": {"files": f"{scene.inbox}/*"}}
    if body.get("kind") == "webhook" or "settings" in body:
        given.pop("settings")
    refused = await scene.client.post("/triggers", json=given | body)
    assert (refused.status_code, message in refused.text) == (400, True), refused.text


async def test_a_server_looks_at_once_when_a_directory_changes(scene: LookScene) -> None:
    await scene.watch(settings={"settle": 0}, everySeconds=3_600)
    await scene.watcher.looks.stop()
    scene.server.looks.start()

    async def look(events: int) -> bool:
        return len(await scene.events("inbox")) == events

    for number in range(3):  # the first one before it is watched
        scene.file(f"file{number}")
        await wait_until(partial(look, number + 1), every_seconds=0.1)
