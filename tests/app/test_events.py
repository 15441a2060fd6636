"""The live feed over HTTP (extension of the contract; needs 17 and 30)."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from dagbook import main
from dagbook.accounts.tokens import TokenRequest
from dagbook.api.live import event_stream
from dagbook.auth.roles import Role
from dagbook.db.repositories import changes
from dagbook.main import Server
from dagbook.runs.recovery import ownership
from dagbook.runs.server_context import ServerIdentity
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.listening import Door, Event, Listener, listening
from tests.app.people import ROOT, serving_people
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines

SPEC = "steps: [{name: a, command: 'true'}]\n"


@pytest.fixture
def named_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of one process would have one name."""
    numbers = itertools.count()

    def identify(*arguments: str) -> ServerIdentity:
        own = ownership.identify(*arguments)
        return msgspec.structs.replace(own, id=f"{own.id}-{next(numbers)}")

    monkeypatch.setattr(main, "identify", identify)


@pytest.fixture
async def lone(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    """A server that no other test disturbs."""
    async with serving(database_url, tmp_path) as server:
        yield server


@pytest.fixture
async def door(lone: Server) -> AsyncIterator[Door]:
    async with listening(lone) as opened:
        yield opened


def ended(run_id: str) -> object:
    return lambda event: event.data.get("dagRunId") == run_id and event.data.get("statusLabel") == "succeeded"


async def end_of(listener: Listener, run_id: str) -> Event:
    return await listener.until(lambda event: bool(ended(run_id)(event)))  # type: ignore[operator]


def told(listener: Listener) -> list[tuple[str, str]]:
    """What came of runs, as id and status, repetitions left out."""
    found = [(event.data["dagRunId"], event.data["statusLabel"]) for event in listener.seen if event.kind == "run"]
    return list(dict.fromkeys(found))


async def test_a_run_is_told_of_from_its_start_to_its_end(door: Door) -> None:
    async with door.listen() as listener:
        await Dagbook(door.client, "etl").start(SPEC, dagRunId="r1")
        last = await end_of(listener, "r1")
    assert listener.seen[0].kind == "ready"
    assert told(listener) == [("r1", "running"), ("r1", "succeeded")]
    assert {name: last.data[name] for name in ("name", "attempt", "status")} == {
        "name": "etl",
        "attempt": 1,
        "status": 4,
    }
    events = (await door.client.get("/dag-runs/etl/r1/events")).json()["events"]
    assert last.data["event"] == events[-1]["number"]


async def test_whoever_comes_back_gets_what_was_missed_and_nothing_else(door: Door) -> None:
    dagbook = Dagbook(door.client, "etl")
    async with door.listen() as first:
        await dagbook.start(SPEC, dagRunId="r1")
        last = (await end_of(first, "r1")).id
    await dagbook.run(SPEC, dagRunId="r2")
    async with door.listen(after=last) as second:
        await end_of(second, "r2")
        await dagbook.start(SPEC, dagRunId="r3")
        await end_of(second, "r3")
    assert second.seen[0].kind == "ready"
    assert told(second) == [(run, status) for run in ("r2", "r3") for status in ("running", "succeeded")]
    ids = [event.id for event in (*first.seen[1:], *second.seen[1:])]
    assert len(ids) == len(set(ids))


async def test_the_header_counts_before_the_parameter_which_a_browser_repeats(door: Door) -> None:
    dagbook = Dagbook(door.client, "etl")
    async with door.listen() as first:
        begin = first.id
        await dagbook.start(SPEC, dagRunId="r1")
        last = (await end_of(first, "r1")).id
    async with door.listen(f"?after={begin}", after=last) as second:
        await dagbook.start(SPEC, dagRunId="r2")
        await end_of(second, "r2")
    assert {run for run, _ in told(second)} == {"r2"}
    async with door.listen(f"?after={begin}") as third:
        await end_of(third, "r2")
    assert {run for run, _ in told(third)} == {"r1", "r2"}


async def test_a_number_older_than_what_is_kept_says_that_all_has_to_be_read_anew(lone: Server, door: Door) -> None:
    dagbook = Dagbook(door.client, "etl")
    async with door.listen() as first:
        begin = first.id
        await dagbook.start(SPEC, dagRunId="r1")
        last = (await end_of(first, "r1")).id
    lone.change_pruner._retention *= 0
    assert await lone.change_pruner.run_once() > 0
    async with door.listen(after=begin) as second:
        assert second.seen[0].kind == "reset"
    async with door.listen(after=last) as third:
        assert third.seen[0].kind == "ready"


@pytest.mark.parametrize("after", ["9223372036854775807", "9223372036854775807.1"])
async def test_a_number_of_another_database_says_so_too(door: Door, after: str) -> None:
    async with door.listen(after=after) as listener:
        assert listener.seen[0].kind == "reset"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=x", "after"),
        ("after=1.2.3", "after"),
        ("after=-1", "after"),
        ("after=99999999999999999999", "after"),
        ("after=9999999999999999999", "after"),
        ("after=%C2%B2", "after"),
        ("run=etl", "run"),
        ("run=/r1", "run"),
        ("run=etl/latest", "run"),
        ("run=a%00/b", "run"),
        ("dag=a&dag=b", "dag"),
        ("output=etl", "output"),
        ("output=etl/r1&output=etl/latest", "output"),
        (urlencode([("output", f"etl/r{number}") for number in range(33)]), "output"),
        ("remoteNode=web", "remoteNode"),  # who listens is looked at again and again, here
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/events?{query}")
    assert (answer.status_code, answer.json()["message"].split(":")[0]) == (400, field)


async def test_only_what_is_asked_for_is_told(door: Door) -> None:
    async with AsyncExitStack() as stack:
        queries = ["", "?dag=one", "?run=two/r2", "?dag=stored"]
        everything, *narrow = [await stack.enter_async_context(door.listen(query)) for query in queries]
        for name in ("one", "two"):
            for run_id in ("r1", "r2"):
                await Dagbook(door.client, name).run(SPEC, dagRunId=run_id)
        await door.client.post("/dags", json={"name": "stored", "spec": SPEC})
        for listener in (everything, narrow[2]):
            await listener.until(lambda event: event.kind == "dag")
        await end_of(narrow[0], "r2")
        await end_of(narrow[1], "r2")
    seen = [{(event.data["name"], event.data.get("dagRunId")) for event in listener.seen[1:]} for listener in narrow]
    assert seen == [{("one", "r1"), ("one", "r2")}, {("two", "r2")}, {("stored", None)}]
    assert len({(event.data["name"], event.data.get("dagRunId")) for event in everything.seen[1:]}) == 5


async def test_what_happens_to_a_stored_dag_is_told(door: Door) -> None:
    client = door.client
    async with door.listen() as listener:
        await client.post("/dags", json={"name": "one", "spec": SPEC})
        await client.put("/dags/one/spec", json={"spec": f"# other\n{SPEC}"})
        await client.post("/dags/one/suspend", json={"suspend": True})
        await client.post("/dags/one/suspend", json={"suspend": False})
        await client.post("/dags/one/rename", json={"newFileName": "two"})
        await client.put("/dags/two/settings", json={"catchup": "all"})
        await client.post("/dags/two/revisions/1/redact")
        await client.delete("/dags/two")
        await listener.until(lambda event: event.data.get("what") == "deleted")
    whats = [(event.data["what"], event.data["fileName"]) for event in listener.seen if event.kind == "dag"]
    assert whats == [
        ("created", "one"),
        ("saved", "one"),
        ("suspended", "one"),
        ("resumed", "one"),
        ("renamed", "one"),
        ("configured", "two"),
        ("redacted", "two"),
        ("deleted", "two"),
    ]


async def test_queues_tell_who_comes_and_goes(door: Door) -> None:
    client, spec = door.client, "queue: narrow\nmaxActiveRuns: 1\nsteps: [{name: a, command: sleep 60}]\n"
    await client.post("/dags", json={"name": "q", "spec": spec})
    async with door.listen() as listener:
        await client.post("/dags/q/enqueue", json={"dagRunId": "r1"})
        await listener.until(lambda event: event.data.get("status") == 1)
        came_and_went = [event.data["queue"] for event in listener.seen if event.kind == "queue"]
        await client.post("/dags/q/enqueue", json={"dagRunId": "r2"})
        await listener.until(lambda event: event.kind == "run" and event.data["dagRunId"] == "r2")
        for _ in ("it came", "why it waits"):
            await listener.until(lambda event: event.kind == "queue")
        assert (await client.get("/dag-runs/q/r2/dequeue")).status_code == 200
        removed = await listener.until(lambda event: bool(event.data.get("removed")))
    assert came_and_went[:1] == ["narrow"]
    assert (removed.data["dagRunId"], removed.data["statusLabel"]) == ("r2", "queued")
    assert listener.seen[-2].kind == "queue"
    await client.post("/dag-runs/q/r1/stop")


async def test_who_follows_a_run_hears_that_its_output_grows(door: Door, tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
    spec = f'steps: [{{name: a, command: "echo one; {wait}; echo two; echo three >&2"}}]\n'
    dagbook = Dagbook(door.client, "etl")
    async with door.listen("?run=etl/r1") as follower, door.listen() as other:
        await dagbook.start(spec, dagRunId="r1")
        grown = await follower.until(lambda event: event.kind == "log")
        go.touch()
        await end_of(follower, "r1")
        await end_of(other, "r1")
    assert grown.data == {
        "name": "etl",
        "dagRunId": "r1",
        "attempt": 1,
        "step": "a",
        "stream": "stdout",
        "lines": 1,
        "bytes": 4,
    }
    assert "log" not in {event.kind for event in other.seen}
    content = (await door.client.get("/dag-runs/etl/r1/steps/a/log")).json()["content"]
    assert content == "one\ntwo"  # the run's end says that there may be more


async def test_one_stream_tells_all_changes_and_the_output_of_several_runs(door: Door, tmp_path: Path) -> None:
    go = tmp_path / "go"
    spec = f'steps: [{{name: a, command: "echo one; while [ ! -e {go} ]; do sleep 0.02; done"}}]\n'
    async with door.listen("?output=one/r&output=two/r&output=nobody/r") as listener:
        for name in ("one", "two", "three"):
            await Dagbook(door.client, name).start(spec, dagRunId="r")
        await listener.until(
            lambda _: {event.data["name"] for event in listener.seen if event.kind == "log"} == {"one", "two"}
        )
        go.touch()
        await end_of(listener, "r")
    names = {kind: {event.data.get("name") for event in listener.seen if event.kind == kind} for kind in ("run", "log")}
    assert names == {"run": {"one", "two", "three"}, "log": {"one", "two"}}


async def test_sub_runs_are_told_of_to_who_follows_their_root(door: Door) -> None:
    spec = "steps: [{name: call, call: child}]\n---\nname: child\nsteps: [{name: a, command: 'true'}]\n"
    async with door.listen("?run=parent/r1") as listener:
        await Dagbook(door.client, "parent").start(spec, dagRunId="r1")
        await end_of(listener, "r1")
    below = [event.data for event in listener.seen if event.data.get("name") == "child"]
    assert {str(data["root"]) for data in below} == {"{'name': 'parent', 'dagRunId': 'r1'}"}
    assert below[-1]["statusLabel"] == "succeeded"


async def test_a_stream_more_than_the_limit_is_refused_until_one_goes(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, event_streams="2") as server, listening(server) as door:
        async with door.listen():
            async with door.listen():
                answer = await door.client.get("/events")
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
                assert "event_streams" in answer.json()["message"]
            await wait_until(lambda: _clients(server, 1))
            async with door.listen():
                pass
        await wait_until(lambda: _clients(server, 0))


async def _clients(server: Server, count: int) -> bool:
    return server.services.system.feed.clients == count


async def test_a_client_that_takes_nothing_is_let_go_with_its_place(
    lone: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "_STALL_SECONDS", 0.2)
    database = lone.services.runs.database
    async with listening(lone) as door, door.listen() as other:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.client.base_url.port, limit=1024)
        writer.write(f"GET {door.client.base_url.path}events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"event: ready")
        await wait_until(lambda: _clients(lone, 2))
        names = [f"{number:0100}" for number in range(2000)]
        rounds = 0
        while lone.services.system.feed.clients > 1:
            await database.write(lambda connection: changes.add_queue_changes(connection, names))
            await other.until(lambda event: event.data["queue"] == names[-1])
            rounds += 1
            assert rounds < 100
        writer.close()
    assert len(other.seen) == 1 + rounds * len(names)  # who takes what comes gets all of it


async def test_streams_end_when_the_server_stops(lone: Server) -> None:
    async with listening(lone) as door, AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(door.listen()) for _ in range(3)]
        lone.services.system.feed.close()
        for listener in listeners:
            await listener.ended()
        answer = await door.client.get("/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


async def test_an_idle_stream_costs_less_than_a_kilobyte_a_minute(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = 60.0 / event_stream._HEARTBEAT_SECONDS
    monkeypatch.setattr(event_stream, "_HEARTBEAT_SECONDS", 0.01)
    async with door.listen() as listener:
        before = listener.bytes
        for _ in range(10):
            await listener.heartbeat()
        each = (listener.bytes - before) / 10 + 16  # what HTTP adds to a piece
    assert each * hours < 1000
    assert listener.id  # which a heartbeat says again


@pytest.mark.parametrize("how", ["revoked", "removed", "lowered"])
async def test_a_stream_ends_when_who_opened_it_is_not_let_in_any_more(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(event_stream, "_CHECK_SECONDS", 0.01)
    async with serving_people(database_url, tmp_path) as people, listening(people.server) as door:
        access = people.server.services.accounts.auth
        ann = await people.add(Role.VIEWER)
        token, row = await access.tokens.create(TokenRequest(name=secrets.token_hex(4), username=ann.name), ROOT)
        bearer = {"Authorization": f"Bearer {ann.token if how == 'lowered' else token}"}
        async with door.listen(headers=bearer) as listener:
            await listener_stays(people.server)
            if how == "revoked":
                await access.tokens.revoke(row.id, ROOT)
            if how == "removed":
                await access.users.remove(ann.id, ROOT)
            if how == "lowered":
                await access.users.reset_password(ann.id, "another horse", ROOT)
            await listener.ended()
        assert (await door.client.get("/events", headers=bearer)).status_code == 401


async def listener_stays(server: Server) -> None:
    """See that a stream lives through some checks."""
    begun = monotonic()

    async def later() -> bool:
        return monotonic() - begun > 0.2

    await wait_until(later)
    assert server.services.system.feed.clients == 1


@pytest.mark.usefixtures("named_apart")
async def test_a_restarted_server_is_resumed_by_number(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as server, listening(server) as door, door.listen() as first:
        await Dagbook(door.client, "etl").start(SPEC, dagRunId="r1")
        last = (await end_of(first, "r1")).id
        await Dagbook(door.client, "etl").run(SPEC, dagRunId="r2")
    async with serving(database_url, tmp_path) as server, listening(server) as door, door.listen(after=last) as second:
        await end_of(second, "r2")
    assert second.seen[0].kind == "ready"
    assert told(second) == [("r2", "running"), ("r2", "succeeded")]


@pytest.mark.usefixtures("named_apart")
async def test_a_change_is_seen_on_another_server_of_the_same_database(database_url: str, tmp_path: Path) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("a SQLite file has one server")
    homes = [tmp_path / "one", tmp_path / "two"]
    async with serving(database_url, homes[0]) as one, serving(database_url, homes[1]) as two, listening(two) as door:
        async with client_of(one) as client, door.listen() as listener:
            dagbook = Dagbook(client, "etl")
            begun = asyncio.create_task(dagbook.run(SPEC, dagRunId="r1"))
            await end_of(listener, "r1")
            await begun
        assert told(listener)[-1] == ("r1", "succeeded")
