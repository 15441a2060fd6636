"""Recalls and bulk actions: lists of runs that a filter makes once, and what is done to each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dagbook.db.database import WriteConnection
from tests.app.dagbook import client_of, serving
from tests.app.test_batches import DAILY, Scene
from tests.db.rows import run_sql
from tests.waiting import wait_until

REASON = "lost the last row"
LONG = "steps: [{name: a, command: sleep 60}]\n"


def text(word: str, *, fails: bool = False, more: str = "") -> str:
    return f"maxActiveRuns: 50\n{more}steps: [{{name: load, command: 'echo {word}; exit {int(fails)}'}}]\n"


class Recall(Scene):
    """What a recall is asked, and the runs of the DAG."""

    async def start(self, **body: Any) -> str:
        answer = await self.client.post(f"/dags/{self.name}/start", json=body)
        assert answer.is_success, answer.text
        return str(answer.json()["dagRunId"])

    async def run_all(self, count: int, **body: Any) -> list[str]:
        """Run the DAG so many times; returns the ids in the order of the runs."""
        ids = [await self.start(**body) for _ in range(count)]
        for run_id in ids:
            await self.dagbook.finished(run_id)
        return ids

    def request(self, action: str, filter_: Any, **options: Any) -> dict[str, Any]:
        reason = {"reason": REASON} if action == "again" else {}
        return {"action": action, "dag": self.name, "filter": filter_, **reason, **options}

    async def make(self, action: str, filter_: dict[str, Any], **options: Any) -> Any:
        return await self.ok("POST", "/batches", **self.request(action, filter_, **options))

    async def do(self, action: str, filter_: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Make a batch, and wait for its end; returns its counts without those that are 0."""
        made = await self.make(action, filter_, **options)
        counts = (await self.ended(made["batchId"]))["counts"]
        return {name: number for name, number in counts.items() if number}

    async def planned(self, action: str, filter_: dict[str, Any], **options: Any) -> list[str]:
        made = await self.make(action, filter_, dryRun=True, **options)
        return [item["sourceRunId"] for item in made["items"]]

    async def status(self, run_ids: Iterable[str]) -> list[str]:
        return [(await self.dagbook.get(run_id))["statusLabel"] for run_id in run_ids]

    async def listed(self, **query: Any) -> list[str]:
        answer = await self.client.get(f"/dag-runs/{self.name}", params=query)
        return [run["dagRunId"] for run in answer.json()["dagRuns"]]

    async def audited(self, action: str) -> int:
        found = (await self.client.get("/audit", params={"action": action, "limit": 1000})).json()["entries"]
        return len(found)


@pytest.fixture
async def recall(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[Recall]:
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        recall = Recall(server, client, name)
        yield recall
        await recall.end()


# -- recall ----------------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
@pytest.mark.always
async def test_runs_of_a_revision_are_done_again_once_in_order_and_replaced(recall: Recall) -> None:
    await recall.store(text("one"))
    first = await recall.run_all(2)
    await recall.save(text("two"))
    second = await recall.run_all(3)
    await recall.save(text("three"))
    assert await recall.planned("again", {"revision": 2}) == second
    assert await recall.planned("again", {"revision": "1..2"}, order="newest") == [*first, *second][::-1]

    made = await recall.make("again", {"revision": 2}, expect=3)
    assert (made["steps"], made["revision"], made["runs"]) == ({"again": 3}, 3, {"succeeded": 3})
    await recall.ended(made["batchId"])
    items = await recall.items(made["batchId"])
    assert [item["sourceRunId"] for item in items] == second
    new = [item["dagRunId"] for item in items]
    assert [run["dagRunId"] for run in await recall.runs()] == [*first, *second, *new]
    for before, after in zip(second, new, strict=True):
        details = (await recall.dagbook.finished(after)).details
        assert (details["trigger"], details["revision"]) == ("recall", 3)
        assert details["replaces"] == {"name": recall.name, "dagRunId": before}
        assert (await recall.dagbook.get(before))["replacedBy"] == {"name": recall.name, "dagRunId": after}
        assert await (await recall.dagbook.finished(after)).log("load") == "three"
    assert await recall.planned("again", {"revision": 2}) == []
    assert "batchId" not in await recall.make("again", {"revision": 2})
    # A batch of another filter leaves them out, too, but not the runs of the other revision.
    assert await recall.planned("again", {"revision": "1..2"}) == first


async def test_with_the_original_text_each_run_is_as_it_was(recall: Recall) -> None:
    await recall.store(text("one", more="params: {WHO: ann}\n"))
    (before,) = await recall.run_all(1, params='WHO="bob b"')
    await recall.save(text("two"))
    assert await recall.do("again", {"revision": 1}, text="original") == {"done": 1}
    after = (await recall.runs())[-1]["dagRunId"]
    details = (await recall.dagbook.finished(after)).details
    assert (details["revision"], details["trigger"], details["paramsList"]) == (1, "recall", ["WHO=bob b"])
    assert (await recall.dagbook.get(before))["replacedBy"]["dagRunId"] == after
    made = await recall.make("again", {"revision": 1}, text="original", dryRun=True)
    assert "revision" not in made


async def test_params_steps_workers_and_secrets_say_which_runs_are_affected(recall: Recall, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-long-secret")
    steps = (
        "params: {WHO: ann}\n"
        f"secrets: [{{name: TOKEN, provider: file, key: {secret}}}]\n"
        "steps:\n"
        "  - {name: read, command: 'test $WHO != cid'}\n"
        "  - {name: load, depends: read, command: 'echo $TOKEN'}\n"
    )
    await recall.store(steps)
    ann, bob, cid = [(await recall.run_all(1, params=f"WHO={who}"))[0] for who in ("ann", "bob", "cid")]
    assert await recall.planned("again", {"param": "WHO=bob"}) == [bob]
    assert await recall.planned("again", {"param": ["WHO=bob"], "tag": "none"}) == []
    assert await recall.planned("again", {"revision": 1, "step": "load"}) == [ann, bob]
    assert await recall.planned("again", {"secret": str(secret)}) == [ann, bob, cid]
    assert await recall.planned("again", {"secret": f"file:{secret}", "status": 2}) == [cid]
    assert await recall.planned("again", {"secret": f"{secret}@4"}) == []
    assert await recall.planned("again", {"secret": "other"}) == []
    # What is not ticked is left out.
    assert await recall.planned("again", {"revision": 1}, leaveOut=[ann, f"{recall.name}/{cid}"]) == [bob]

    server = recall.server.supervisor.active_runs.context.identity.id
    made = await recall.make("again", {"worker": server}, dryRun=True)
    assert [item["sourceRunId"] for item in made["items"]] == [ann, bob, cid]
    assert "still lives" in made["warnings"][0]
    # The new runs are affected as well, but a second recall does nothing: they were made by the first one.
    assert await recall.do("again", {"worker": server}, expect=3) == {"done": 2, "failed": 1}
    assert await recall.planned("again", {"worker": server}) == []
    new = [await recall.dagbook.get(run["dagRunId"]) for run in (await recall.runs())[-3:]]
    assert [run["paramsList"] for run in new] == [["WHO=ann"], ["WHO=bob"], ["WHO=cid"]]


@pytest.mark.both_engines
async def test_single_runs_are_picked_by_dag_name_and_id(recall: Recall) -> None:
    await recall.store(text("one"))
    for run_id in ("r1", "r2", "r3"):
        await recall.start(dagRunId=run_id)
        await recall.dagbook.finished(run_id)
    picked = [f"{recall.name}/r3", f"{recall.name}/r1", "other/r2"]
    made = await recall.make("again", {"runs": picked}, dryRun=True)
    items = [(item["dagName"], item["sourceRunId"]) for item in made["items"]]
    assert items == [(recall.name, "r1"), (recall.name, "r3")]
    assert await recall.do("delete", {"runs": picked}) == {"done": 2}
    assert await recall.listed() == ["r2"]


async def test_runs_that_begin_to_match_after_the_preview_are_not_in_the_batch(recall: Recall) -> None:
    await recall.store(text("one"))
    ids = await recall.run_all(2)
    assert await recall.planned("again", {"revision": 1}) == ids
    made = await recall.make("again", {"revision": 1}, expect=2)
    late = await recall.run_all(1)
    await recall.ended(made["batchId"])
    assert [item["sourceRunId"] for item in await recall.items(made["batchId"])] == ids
    assert "replacedBy" not in await recall.dagbook.get(late[0])
    refused = await recall.client.post("/batches", json=recall.request("again", {"status": 4}, expect=7))
    assert (refused.status_code, "there are 3 items now, not 7" in refused.json()["message"]) == (412, True)


async def test_two_open_batches_never_have_one_run(recall: Recall) -> None:
    await recall.store(text("one"))
    await recall.run_all(2)
    await recall.ok("POST", f"/queues/{recall.name}/pause")
    first = (await recall.make("again", {"revision": 1}))["batchId"]
    second = await recall.make("again", {"status": 4})
    assert ("batchId" in second, second["held"]) == (False, {str(first): 2})
    await recall.ok("POST", f"/queues/{recall.name}/resume")
    await recall.ended(first)


async def test_a_scheduled_run_hands_its_time_to_the_run_that_replaces_it(recall: Recall) -> None:
    """So the map shows the new one, and a backfill has nothing to do."""
    show = "steps: [{name: load, command: 'echo at $DAG_RUN_SCHEDULED_AT; exit %s'}]\n"
    await recall.store(DAILY + show % 1)
    await recall.ended((await recall.backfill(1, 2))["batchId"])
    assert await recall.outcomes(1, 2) == ["failed", "failed"]
    await recall.save(DAILY + show % 0)
    assert await recall.do("again", {"revision": 1}) == {"done": 2}
    slots = await recall.slots(1, 2)
    assert [slot["outcome"] for slot in slots] == ["succeeded", "succeeded"]
    for slot in slots:
        ended = await recall.dagbook.finished(slot["dagRunId"])
        assert ended.details["scheduledAt"] == slot["scheduledAt"]
        assert await ended.log("load") == "at " + slot["scheduledAt"].replace("Z", "+00:00")
    # The failures are failures no more.
    assert await recall.listed(status=2) == []
    assert len(await recall.listed(status=2, replaced="true")) == 2
    assert len(await recall.listed()) == 4
    overview = (await recall.client.get("/overview", params={"range": "24h"})).json()
    assert overview["failures"] == []
    assert {count["statusLabel"] for bar in overview["bars"] for count in bar["counts"]} == {"succeeded"}


async def test_a_recall_that_failed_is_retried_in_place(recall: Recall, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    await recall.store(f"steps: [{{name: load, command: 'test -e {marker}'}}]\n")
    await recall.run_all(1)
    made = await recall.make("again", {"revision": 1})
    assert (await recall.ended(made["batchId"]))["counts"]["failed"] == 1
    marker.touch()
    await recall.ok("POST", f"/batches/{made['batchId']}/retry")
    assert (await recall.ended(made["batchId"]))["counts"]["done"] == 1
    before, after = await recall.runs()
    assert (await recall.dagbook.get(after["dagRunId"]))["attempt"] == 2
    assert before["replacedBy"] == {"name": recall.name, "dagRunId": after["dagRunId"]}


# -- bulk ------------------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
@pytest.mark.always
async def test_failed_runs_are_retried_in_place_or_replaced_and_keep_their_trigger(
    recall: Recall, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    spec = f"maxActiveRuns: 9\nsteps: [{{name: load, command: 'test -e {marker}'}}]\n"
    await recall.store(spec)
    old = await recall.run_all(1)
    await recall.save("# changed\n" + spec)
    new = await recall.run_all(2)
    marker.touch()
    good = await recall.run_all(1)
    made = await recall.make("retry", {"name": recall.name}, dryRun=True)
    assert (made["steps"], made["runs"]) == ({"again": 1, "retry": 2}, {"failed": 3})
    assert await recall.do("retry", {"status": 2}, parallel=4) == {"done": 3}
    runs = await recall.runs()
    assert [run["dagRunId"] for run in runs][:4] == [*old, *new, *good]
    details = [await recall.dagbook.get(run["dagRunId"]) for run in runs]
    assert [run["attempt"] for run in details] == [1, 2, 2, 1, 1]
    assert {run["trigger"] for run in details} == {"api"}
    assert await recall.planned("retry", {"status": 2}) == []


async def test_running_runs_are_stopped_and_each_is_audited(recall: Recall) -> None:
    await recall.store("maxActiveRuns: 50\n" + LONG)
    ids = [await recall.start() for _ in range(5)]

    async def running() -> bool:
        return set(await recall.status(ids)) == {"running"}

    await wait_until(running)
    assert await recall.do("stop", {"status": 1}, reason="enough") == {"done": 5}
    for run_id in ids:
        assert (await recall.dagbook.finished(run_id)).status == "aborted"
    assert (await recall.audited("run.stop"), await recall.audited("batch.create")) == (5, 1)


@pytest.mark.full
async def test_five_hundred_running_runs_are_stopped_within_ten_seconds(recall: Recall) -> None:
    await recall.store("maxActiveRuns: 1000\n" + LONG)
    ids = await asyncio.gather(*(recall.start() for _ in range(500)))

    async def running() -> bool:
        return len(await recall.listed(status=1)) == 500

    await wait_until(running)
    began = time.monotonic()
    made = await recall.make("stop", {"status": 1}, expect=500)

    async def stopped() -> bool:
        return not await recall.listed(status=1)

    await wait_until(stopped)
    assert time.monotonic() - began < 10
    await recall.ended(made["batchId"])
    assert await recall.audited("run.stop") == 500
    assert len(ids) == 500


async def test_queued_runs_are_dequeued(recall: Recall) -> None:
    await recall.store(text("one"))
    await recall.ok("POST", f"/queues/{recall.name}/pause")
    for _ in range(3):
        assert (await recall.client.post(f"/dags/{recall.name}/enqueue", json={})).is_success
    assert await recall.do("dequeue", {"status": 5}) == {"done": 3}
    assert (await recall.runs(), await recall.audited("run.dequeue")) == ([], 3)


@pytest.mark.both_engines
async def test_finished_runs_are_deleted_and_each_is_audited(recall: Recall) -> None:
    await recall.store(text("one", fails=True))
    ids = await recall.run_all(3)
    await recall.save(text("two"))
    kept = await recall.run_all(1)
    made = await recall.make("delete", {"status": 2}, expect=2, leaveOut=ids[:1])
    await recall.ended(made["batchId"])
    assert await recall.listed() == [*kept, ids[0]]
    assert await recall.audited("run.delete") == 2
    items = await recall.items(made["batchId"])
    assert [(item["state"], item["why"]) for item in items] == [
        ("done", f"run {run_id} of {recall.name} was deleted") for run_id in ids[1:]
    ]


@pytest.mark.both_engines
async def test_several_servers_delete_and_audit_each_run_once(recall: Recall) -> None:
    await recall.store(text("one"))
    await recall.run_all(12)
    await recall.server.batches.stop()
    made = await recall.make("delete", {"status": 4})
    feeders = [recall.feeder() for _ in range(3)]
    while "endedAt" not in await recall.batch(made["batchId"]):
        await asyncio.gather(*(feeder.run_once() for feeder in feeders))
    assert (await recall.batch(made["batchId"]))["counts"]["done"] == 12
    assert (await recall.runs(), await recall.audited("run.delete")) == ([], 12)


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"filter": {}}, "filter"),
        ({"filter": None}, "filter"),
        ({"filter": []}, "filter"),
        ({"filter": {"colour": "red"}}, "colour"),
        ({"filter": {"status": None}}, "status"),
        ({"filter": {"status": 9}}, "status"),
        ({"filter": {"name": ""}}, "name"),
        ({"filter": {"tag": []}}, "tag"),
        ({"filter": {"param": "nothing"}}, "param"),
        ({"filter": {"revision": "2..1"}}, "filter.revision"),
        ({"filter": {"revision": "new"}}, "filter.revision"),
        ({"filter": {"revision": 0}}, "revision"),
        ({"filter": {"fromDate": -1}}, "filter.fromDate"),
        ({"filter": {"minDuration": "long"}}, "filter.minDuration"),
        ({"filter": {"error": "a\0b"}}, "error"),
        ({"filter": {"tag": "a\0b"}}, "filter.tag"),
        ({"filter": {"param": ["A=a\0b"]}}, "param"),
        ({"filter": {"worker": "nothing"}}, "filter.worker"),
        ({"filter": {"runs": ["r1"]}}, "filter.runs"),
        ({"filter": {"runs": []}}, "runs"),
        ({"dag": None}, "dag"),
        ({"dag": "nothing"}, "dag"),
        ({"expect": None}, "expect"),
        ({"from": "2026-03-01"}, "from"),
        ({"only": "missing"}, "only"),
        ({"params": {"DAY": "%F"}}, "params"),
        ({"action": "delete", "text": "original"}, "text"),
        ({"action": "again", "reason": " "}, "reason"),
        ({"text": 9}, "text"),
        ({"expect": 1}, "expect"),
    ],
)
async def test_a_filter_that_is_empty_or_makes_no_sense_changes_nothing(
    recall: Recall, changes: dict[str, Any], field: str
) -> None:
    await recall.store(text("one", fails=True))
    await recall.run_all(2)
    for action in [changes["action"]] if "action" in changes else ["retry", "delete"]:
        if action == "delete" and "text" in changes and changes["text"] == 9:
            continue
        body = recall.request(action, {"status": 2}) | changes
        answer = await recall.client.post("/batches", json=body)
        assert 400 <= answer.status_code < 500, (action, answer.text)
        assert field in answer.json()["message"]
    assert (await recall.ok("GET", "/batches"))["batches"] == []
    assert len(await recall.runs()) == 2


async def test_a_deletion_ends_at_a_pause_and_goes_on_after_it(recall: Recall) -> None:
    await recall.store(text("one"))
    await recall.run_all(3)
    await recall.server.batches.stop()
    batch = (await recall.make("delete", {"status": 4}))["batchId"]
    await recall.ok("POST", f"/batches/{batch}/pause")
    await recall.feeder().run_once()
    assert len(await recall.runs()) == 3
    await recall.ok("POST", f"/batches/{batch}/resume")
    await recall.feeder().run_once()
    assert await recall.runs() == []
    assert "endedAt" in await recall.batch(batch)


# -- many ------------------------------------------------------------------------------------------------------------


def copy_runs(connection: WriteConnection, prefix: str, count: int) -> None:
    """Add copies of the only run that is no copy."""
    columns = "dag_name, definition_hash, file_name, dag_revision, queue, trigger, params, params_text, tags, attempt"
    columns += ", created_at, max_active_runs"
    run_sql(
        connection,
        f"INSERT INTO runs (id, run_id, status, {columns})"  # noqa: S608 - constants
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
        f" SELECT -(:count + i), :prefix || i, 0, {columns} FROM runs CROSS JOIN n WHERE id > 0",
        count=count,
        prefix=prefix,
    )
    for status in (1, 4):
        run_sql(connection, "UPDATE runs SET status = :status WHERE id < 0 AND status < 4", status=status)


@pytest.mark.both_engines
@pytest.mark.full
async def test_ten_thousand_items_are_made_within_three_seconds_and_listed_at_once(recall: Recall) -> None:
    await recall.store(text("one"))
    await recall.run_all(1)
    await recall.server.batches.stop()
    write = recall.server.services.runs.database.write
    await write(partial(copy_runs, prefix="copy-", count=9_999))
    began = time.monotonic()
    made = await recall.make("again", {"revision": 1}, expect=10_000)
    assert time.monotonic() - began < 3
    took = []
    for _ in range(5):
        began = time.monotonic()
        assert len(await recall.items(made["batchId"])) == 500
        took.append(time.monotonic() - began)
    assert min(took) < 0.05
    await recall.ok("POST", f"/batches/{made['batchId']}/cancel")
    await write(partial(copy_runs, prefix="more-", count=1))
    refused = await recall.client.post("/batches", json=recall.request("again", {"status": 4}))
    assert (refused.status_code, "more than 10,000" in refused.json()["message"]) == (400, True)
