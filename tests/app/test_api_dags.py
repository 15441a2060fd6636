"""Stored DAGs through the API (api-behaviour 3.3, 3.4)."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.main import Server
from dagbook.spec.reading.definition_cache import hash_of
from dagbook.spec.reading.load import Loaded, load
from tests.app.dagbook import Dagbook, client_of, serving

SPEC = "# kept\nsteps:\n  - {name: a, command: echo $X}\nparams: X=1\n"
LONG = "maxActiveRuns: 5\nsteps: [{name: a, command: echo ready; sleep 30}]\n"


async def _create(dagbook: Dagbook, spec: str = SPEC, name: str = "") -> str:
    file_name = name or dagbook.name
    answer = await dagbook.client.post("/dags", json={"name": file_name, "spec": spec})
    assert (answer.status_code, answer.json()) == (201, {"name": file_name}), answer.text
    return file_name


def _error(answer: httpx.Response) -> tuple[int, str]:
    assert answer.json()["message"]
    return answer.status_code, answer.json()["code"]


# -- create ----------------------------------------------------------------------------------------------------------


async def test_a_created_dag_keeps_its_text_to_the_letter(dagbook: Dagbook) -> None:
    await _create(dagbook)
    spec = (await dagbook.client.get(f"/dags/{dagbook.name}/spec")).json()
    assert (spec["spec"], spec["errors"]) == (SPEC, [])


@pytest.mark.parametrize("body", [{}, {"spec": ""}, {"spec": " \n"}, {"spec": None}])
async def test_a_dag_without_a_text_gets_a_step_that_works(dagbook: Dagbook, body: dict[str, Any]) -> None:
    answer = await dagbook.client.post("/dags", json={"name": dagbook.name, **body})
    assert answer.status_code == 201
    started = await dagbook.client.post(f"/dags/{dagbook.name}/start", json={})
    assert (await dagbook.finished(started.json()["dagRunId"])).status == "succeeded"


async def test_of_two_dags_created_with_one_name_at_once_one_stays(dagbook: Dagbook) -> None:
    body = {"name": dagbook.name, "spec": SPEC}
    answers = await asyncio.gather(*(dagbook.client.post("/dags", json=body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {_error(answer)[1] for answer in answers if answer.status_code == 409} == {"already_exists"}


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../x", "a b", "a\0b", "ä", "a\n", "x" * 41, "x" * 10_000, "a.yaml", "a.yml", 5, None],
)
async def test_what_is_no_file_name_is_refused(client: httpx.AsyncClient, name: object) -> None:
    assert _error(await client.post("/dags", json={"name": name, "spec": SPEC})) == (400, "bad_request")


async def test_a_broken_text_is_refused_and_nothing_is_created(dagbook: Dagbook) -> None:
    for spec in ("steps: [", "stepz: []", "name: a b\n" + SPEC, "steps: [{command: x, depends: no}]"):
        answer = await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": spec})
        assert _error(answer) == (400, "bad_request")
    assert _error(await dagbook.client.get(f"/dags/{dagbook.name}")) == (404, "not_found")


# -- validate --------------------------------------------------------------------------------------------------------


async def test_validation_tells_every_problem_and_what_could_be_read(client: httpx.AsyncClient) -> None:
    spec = "name: good\nschedule: nonsense\nsteps:\n  - {name: a, command: x}\n  - {name: b, command: x, depends: no}\n"
    answer = await client.post("/dags/validate", json={"spec": spec})
    found = answer.json()
    assert (answer.status_code, found["valid"], len(found["errors"])) == (200, False, 2)
    assert (found["dag"]["name"], [step["name"] for step in found["dag"]["steps"]]) == ("good", ["a", "b"])


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"spec": SPEC}, "validated-dag"),
        ({"spec": SPEC, "name": "mine"}, "mine"),
        ({"spec": "name: own\n", "name": "mine"}, "own"),
    ],
)
async def test_a_valid_text_is_shown_by_its_name(client: httpx.AsyncClient, body: dict[str, str], name: str) -> None:
    found = (await client.post("/dags/validate", json=body)).json()
    assert (found["valid"], found["errors"], found["dag"]["name"]) == (True, [], name)


async def test_validation_tells_when_a_text_would_start(client: httpx.AsyncClient) -> None:
    spec = f"schedule: ['TZ=Asia/Tokyo 30 4 * * *', '0 25 * * *']\n{SPEC}"
    found = (await client.post("/dags/validate", json={"spec": spec})).json()
    assert [start["at"][11:] for start in found["nextStarts"]] == ["04:30:00+09:00"] * 5
    assert "nextStarts" not in (await client.post("/dags/validate", json={"spec": SPEC})).json()


async def test_validation_answers_200_for_a_name_that_is_none_and_for_no_yaml(client: httpx.AsyncClient) -> None:
    for body in ({"spec": SPEC, "name": "a b"}, {"spec": "steps: ["}, {"spec": "- 1"}):
        answer = await client.post("/dags/validate", json=body)
        assert (answer.status_code, answer.json()["valid"]) == (200, False)
        assert answer.json()["errors"]


@pytest.mark.parametrize("body", [{}, {"spec": 1}, [], {"spec": SPEC, "name": 1}])
async def test_validation_needs_a_text(client: httpx.AsyncClient, body: object) -> None:
    assert _error(await client.post("/dags/validate", json=body)) == (400, "bad_request")


PARAM_SCHEMA = """{
    "properties": {"batch": {"type": "integer", "maximum": 10}, "who": {"type": "string", "minLength": 2}},
    "required": ["who"]
}"""


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ("{schema: S, values: {who: me, batch: 7}}", []),
        ("{schema: S, values: {who: me, batch: 25}}", ["params.batch: does not match the schema: 25 is greater"]),
        ("{schema: S, values: {batch: 7}}", ["params: does not match the schema: 'who' is a required property"]),
        ("{schema: none.json}", ["params.schema: 'none.json' was not found"]),
        ("{schema: /dev/zero}", ["params.schema: '/dev/zero' was not found"]),
        ("{schema: broken.json}", ["params.schema: 'broken.json' is no JSON Schema"]),
        # Nothing is run or fetched, and nothing of the server's environment is told or judged.
        ("{schema: 'http://127.0.0.1:9/s.json', values: {batch: 25}}", []),
        ("{schema: S, values: {who: me, batch: '`touch ran; echo 25`'}}", []),
        ("{schema: S, values: {who: x, batch: $HOME}}", ["params.who: does not match the schema: 'x' is too short"]),
        ("{schema: $HOME/none.json}", []),
    ],
)
async def test_validation_judges_params_by_the_schema_that_is_found_in_the_working_directory(
    client: httpx.AsyncClient, tmp_path: Path, params: str, wrong: list[str]
) -> None:
    (tmp_path / "S").write_text(PARAM_SCHEMA)
    (tmp_path / "broken.json").write_text("{")
    spec = f"workingDir: {tmp_path}\nparams: {params}\nsteps: [echo]\n"
    found = (await client.post("/dags/validate", json={"spec": spec})).json()
    assert (found["valid"], len(found["errors"])) == (not wrong, len(wrong))
    assert all(told.startswith(begin) for told, begin in zip(found["errors"], wrong, strict=True))
    assert not (tmp_path / "ran").exists()


async def test_validation_finds_a_schema_in_the_folder_of_stored_dags_and_looks_at_each_document(
    client: httpx.AsyncClient, server: Server, name: str
) -> None:
    (server.supervisor._context.work_dir / f"{name}.json").write_text(PARAM_SCHEMA)
    below = f"---\nname: kid\nparams: {{schema: {name}.json, values: {{who: x}}}}\nsteps: [echo]\n"
    spec = f"params: {{schema: {name}.json, values: {{who: me}}}}\nsteps: [{{call: kid}}]\n{below}"
    found = (await client.post("/dags/validate", json={"spec": spec})).json()
    assert found["errors"] == ["kid: params.who: does not match the schema: 'x' is too short"]


async def test_of_a_variable_that_is_named_twice_the_value_that_counts_is_shown(client: httpx.AsyncClient) -> None:
    found = (await client.post("/dags/validate", json={"spec": "env: [A=1, 'B=${A}', A=2]\n"})).json()
    assert found["dag"]["env"] == ["A=2", "B=${A}"]


async def test_an_item_that_is_a_map_is_shown_as_the_called_run_gets_it(client: httpx.AsyncClient) -> None:
    spec = "steps: [{call: kid, parallel: [{B: 1, A: true}, text]}]\n"
    found = (await client.post("/dags/validate", json={"spec": spec})).json()
    assert found["dag"]["steps"][0]["parallel"]["items"] == ['{"A":"true","B":"1"}', "text"]


# -- details ---------------------------------------------------------------------------------------------------------


async def test_details_of_a_dag_that_never_ran_hold_a_placeholder(dagbook: Dagbook) -> None:
    spec = SPEC + "handlerOn: {exit: {command: 'true'}}\npreconditions: ['true']\n"
    await _create(dagbook, spec)
    details = (await dagbook.client.get(f"/dags/{dagbook.name}.yaml")).json()
    assert (details["suspended"], details["errors"], details["localDags"]) == (False, [], [])
    assert (details["dag"]["histRetentionDays"], details["dag"]["maxActiveRuns"]) == (30, 1)
    assert (details["dag"]["params"], details["dag"]["defaultParams"]) == (["X=1"], 'X="1"')
    run = details["latestDAGRun"]
    assert {
        key: run[key] for key in ("dagRunId", "rootDAGRunId", "rootDAGRunName", "log", "startedAt", "finishedAt")
    } == dict.fromkeys(("dagRunId", "rootDAGRunId", "rootDAGRunName", "log", "startedAt", "finishedAt"), "")
    assert (run["name"], run["status"], run["statusLabel"], run["params"]) == (dagbook.name, 0, "not_started", "X=1")
    assert (run["nodes"][0]["startedAt"], run["nodes"][0]["statusLabel"]) == ("-", "not_started")
    assert run["onExit"]["statusLabel"] == "not_started"
    assert run["preconditions"] == [{"condition": "true"}]


async def test_details_show_the_latest_run_and_the_local_dags(dagbook: Dagbook) -> None:
    await _create(
        dagbook, SPEC + "---\nname: b\nsteps: [{command: 'true'}]\n---\nname: a\nsteps: [{command: 'true'}]\n"
    )
    started = await dagbook.client.post(f"/dags/{dagbook.name}/start", json={})
    await dagbook.finished(started.json()["dagRunId"])
    details = (await dagbook.client.get(f"/dags/{dagbook.name}")).json()
    assert details["latestDAGRun"]["dagRunId"] == started.json()["dagRunId"]
    assert details["latestDAGRun"]["nodes"][0]["statusLabel"] == "succeeded"
    assert [(local["name"], local["errors"]) for local in details["localDags"]] == [("a", []), ("b", [])]


@pytest.mark.parametrize(
    "odd", ["nobody", "%2E", "%2E%2E", "a%2Fb", "%2E%2E%2Fconfig", "a%00b", "x" * 10_000, "%C3%A4", "a%0A"]
)
@pytest.mark.parametrize(
    ("method", "tail"),
    [("GET", ""), ("DELETE", ""), ("GET", "/spec"), ("PUT", "/spec"), ("POST", "/start"), ("POST", "/stop-all")],
)
async def test_what_is_not_stored_is_not_found(client: httpx.AsyncClient, odd: str, method: str, tail: str) -> None:
    body = {"spec": "steps: ["} if method == "PUT" else {}
    answer = await client.request(method, f"/dags/{odd}{tail}", json=body)
    if answer.status_code != 405:  # `..%2F..` is another path
        assert _error(answer) == (404, "not_found")
    else:
        assert "%2F" in odd


# -- save and delete -------------------------------------------------------------------------------------------------


async def test_a_saved_text_counts_for_the_next_run_and_not_for_those_that_run(dagbook: Dagbook) -> None:
    await _create(dagbook, "steps: [{name: a, command: echo ready; sleep 30}]\n")
    path = f"/dags/{dagbook.name}"
    running = (await dagbook.client.post(f"{path}/start", json={})).json()["dagRunId"]
    await dagbook.running(running, "a", "ready")
    saved = await dagbook.client.put(f"{path}/spec", json={"spec": "steps: [{name: b, command: 'true'}]\n"})
    assert (saved.status_code, saved.json()) == (200, {"errors": []})
    assert [node["step"]["name"] for node in (await dagbook.get(running))["nodes"]] == ["a"]
    await dagbook.stop(running)
    following = (await dagbook.client.post(f"{path}/start", json={})).json()["dagRunId"]
    assert list((await dagbook.finished(following)).nodes) == ["b"]


async def test_a_broken_text_is_not_saved_and_its_problems_are_told(dagbook: Dagbook) -> None:
    await _create(dagbook)
    answer = await dagbook.client.put(f"/dags/{dagbook.name}/spec", json={"spec": "steps: [{comand: x}]"})
    assert answer.status_code == 200
    assert answer.json()["errors"]
    assert (await dagbook.client.get(f"/dags/{dagbook.name}/spec")).json()["spec"] == SPEC


async def test_an_empty_text_is_saved(dagbook: Dagbook) -> None:
    await _create(dagbook)
    assert (await dagbook.client.put(f"/dags/{dagbook.name}/spec", json={"spec": ""})).json() == {"errors": []}
    assert (await dagbook.client.get(f"/dags/{dagbook.name}/spec")).json()["spec"] == ""


@pytest.mark.parametrize("body", [{}, {"spec": None}, {"spec": 1}, [], "x"])
async def test_saving_needs_a_text(dagbook: Dagbook, body: object) -> None:
    await _create(dagbook)
    assert _error(await dagbook.client.put(f"/dags/{dagbook.name}/spec", json=body)) == (400, "bad_request")


async def test_a_deleted_dag_leaves_its_runs_and_its_name(dagbook: Dagbook) -> None:
    await _create(dagbook)
    run_id = (await dagbook.client.post(f"/dags/{dagbook.name}/start", json={})).json()["dagRunId"]
    await dagbook.finished(run_id)
    answer = await dagbook.client.delete(f"/dags/{dagbook.name}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert _error(await dagbook.client.delete(f"/dags/{dagbook.name}")) == (404, "not_found")
    assert (await dagbook.get(run_id))["statusLabel"] == "succeeded"
    await _create(dagbook)


# -- start and stop --------------------------------------------------------------------------------------------------


async def test_a_stored_dag_is_started_with_params_id_and_name(dagbook: Dagbook) -> None:
    await _create(dagbook)
    body = {"params": "X=2", "dagRunId": "r1", "dagName": f" {dagbook.name}-other "}
    answer = await dagbook.client.post(f"/dags/{dagbook.name}/start", json=body)
    assert answer.json() == {"dagRunId": "r1"}
    ended = await dagbook.finished("r1", f"{dagbook.name}-other")
    assert (ended.details["params"], await ended.log("a")) == ("X=2", "2")


async def test_null_starts_a_dag_like_an_empty_object(dagbook: Dagbook) -> None:
    await _create(dagbook)
    answer = await dagbook.client.post(f"/dags/{dagbook.name}/start", content=b"null")
    assert (await dagbook.finished(answer.json()["dagRunId"])).status == "succeeded"


@pytest.mark.parametrize(
    "body",
    [
        {"dagName": "a b"},
        {"dagName": "x" * 41},
        {"dagRunId": "latest"},
        {"dagRunId": "ä"},
        {"params": 1},
        {"singleton": 1},
        [],
    ],
)
async def test_a_start_that_makes_no_sense_is_refused(dagbook: Dagbook, body: object) -> None:
    await _create(dagbook)
    assert _error(await dagbook.client.post(f"/dags/{dagbook.name}/start", json=body)) == (400, "bad_request")


async def test_of_parallel_starts_of_a_stored_dag_one_gets_through(dagbook: Dagbook) -> None:
    await _create(dagbook, LONG.replace("5", "1"))
    path = f"/dags/{dagbook.name}"
    answers = await asyncio.gather(*(dagbook.client.post(f"{path}/start", json={}) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert {_error(answer)[1] for answer in answers if answer.status_code == 409} == {"max_run_reached"}
    assert (await dagbook.client.post(f"{path}/stop-all")).json() == {"errors": []}
    started = next(answer for answer in answers if answer.status_code == 200)
    assert (await dagbook.finished(started.json()["dagRunId"])).status == "aborted"


async def test_stop_all_stops_every_run_and_is_content_with_none(dagbook: Dagbook) -> None:
    await _create(dagbook, LONG)
    path = f"/dags/{dagbook.name}"
    assert (await dagbook.client.post(f"{path}/stop-all")).json() == {"errors": []}
    ids = [(await dagbook.client.post(f"{path}/start", json={})).json()["dagRunId"] for _ in range(3)]
    for run_id in ids:
        await dagbook.running(run_id, "a", "ready")
    assert (await dagbook.client.post(f"{path}/stop-all")).json() == {"errors": []}
    assert [(await dagbook.finished(run_id)).status for run_id in ids] == ["aborted"] * 3


# -- list ------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def shelf(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of its own with four DAGs."""
    async with serving(database_url, tmp_path_factory.mktemp("home")) as server, client_of(server) as client:
        for name, spec in (
            ("b-daily", "tags: [Red, blue]\nschedule: '0 1 * * *'\nsteps: [{command: 'true'}]\n"),
            ("a-none", "name: Zeta\ntags: red\nsteps: [{command: 'true'}]\n"),
            ("C-hourly", "schedule: ['0 * * * *']\nsteps: [{command: 'true'}]\n"),
            ("d-none", ""),
        ):
            answer = await client.post("/dags", json={"name": name, "spec": spec or "steps: [{command: 'true'}]"})
            assert answer.status_code == 201
        await client.put("/dags/d-none/spec", json={"spec": ""})
        yield client


async def _names(client: httpx.AsyncClient, query: str) -> list[str]:
    answer = await client.get(f"/dags?{query}")
    assert answer.status_code == 200, answer.text
    return [dag["fileName"] for dag in answer.json()["dags"]]


async def test_the_list_is_sorted_and_narrowed_as_asked(shelf: httpx.AsyncClient) -> None:
    expected = {
        "": ["b-daily", "C-hourly", "d-none", "a-none"],  # by DAG name: a-none is called Zeta
        "sort=name&order=desc": ["a-none", "d-none", "C-hourly", "b-daily"],
        "sort=nextRun": ["C-hourly", "b-daily", "d-none", "a-none"],
        "sort=nextRun&order=desc": ["b-daily", "C-hourly", "a-none", "d-none"],
        "sort=what&order=ever": ["b-daily", "C-hourly", "d-none", "a-none"],
        "name=NONE": ["d-none", "a-none"],
        "name=zeta": [],
        "tag=RED": ["b-daily", "a-none"],
        "tag=red,blue": [],
        "tag=red&name=daily": ["b-daily"],
        "name=&tag=": ["b-daily", "C-hourly", "d-none", "a-none"],
        "status=4": [],
    }
    found = {query: await _names(shelf, query) for query in expected}
    at_one = found["sort=nextRun"] != expected["sort=nextRun"]  # between midnight and one both run at 01:00
    assert found == expected or at_one


@pytest.mark.parametrize(
    ("query", "shown", "pages"),
    [
        ("perPage=3", 3, (4, 1, 2, 2, 1)),
        ("perPage=3&page=2", 1, (4, 2, 2, 2, 1)),
        ("perPage=3&page=99", 0, (4, 99, 2, 2, 98)),
        ("page=0", 4, (4, 1, 1, 1, 1)),
        ("page=-5&perPage=0", 4, (4, 1, 1, 1, 1)),
        ("perPage=1001", 4, (4, 1, 1, 1, 1)),
        ("perPage=1&name=zzz", 0, (0, 1, 1, 1, 1)),
    ],
)
async def test_pages_are_counted_leniently(
    shelf: httpx.AsyncClient, query: str, shown: int, pages: tuple[int, ...]
) -> None:
    answer = (await shelf.get(f"/dags?{query}")).json()
    names = ("totalRecords", "currentPage", "totalPages", "nextPage", "prevPage")
    assert (len(answer["dags"]), tuple(answer["pagination"][name] for name in names)) == (shown, pages)


@pytest.mark.parametrize("query", ["page=x", "perPage=-1", "perPage=x", "page=1&page=2", "name=a&name=b"])
async def test_a_page_that_cannot_be_read_is_refused_by_its_name(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/dags?{query}")
    assert _error(answer) == (400, "bad_request")
    assert answer.json()["message"].startswith(query.partition("=")[0] + ":")


async def test_a_listed_dag_shows_its_live_run_before_a_newer_one(dagbook: Dagbook) -> None:
    await _create(dagbook, LONG)
    path = f"/dags/{dagbook.name}"
    live = (await dagbook.client.post(f"{path}/start", json={})).json()["dagRunId"]
    await dagbook.running(live, "a", "ready")
    newer = (await dagbook.client.post(f"{path}/start", json={})).json()["dagRunId"]
    await dagbook.running(newer, "a", "ready")
    await dagbook.stop(newer)
    listed = (await dagbook.client.get("/dags", params={"name": dagbook.name})).json()["dags"]
    assert [dag["latestDAGRun"]["dagRunId"] for dag in listed] == [live]
    for status, names in {"1": [dagbook.name], "3": []}.items():
        found = await dagbook.client.get("/dags", params={"name": dagbook.name, "status": status})
        assert [dag["fileName"] for dag in found.json()["dags"]] == names, status
    assert listed[0]["dag"]["maxActiveRuns"] == 5
    await dagbook.stop(live)


@pytest.mark.parametrize("status", ["9", "-1", "9" * 40])
async def test_a_list_of_dags_by_a_status_that_does_not_exist_is_refused(dagbook: Dagbook, status: str) -> None:
    answer = await dagbook.client.get("/dags", params={"status": status})
    assert (answer.status_code, "status: " in answer.json()["message"]) == (400, True)


async def test_a_save_can_be_answered_without_a_body(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, bare_saves="true") as server, client_of(server) as client:
        await client.post("/dags", json={"name": "bare", "spec": SPEC})
        saved = await client.put("/dags/bare/spec", json={"spec": "steps: [echo saved]"})
        refused = await client.put("/dags/bare/spec", json={"spec": "steps: [{comand: x}]"})
        shown = (await client.get("/dags/bare/spec")).json()
    assert (saved.status_code, saved.content, saved.headers["ETag"]) == (200, b"", '"2"')
    assert saved.headers["Content-Length"] == "0"
    assert (refused.status_code, len(refused.json()["errors"])) == (200, 1)
    assert shown["spec"] == "steps: [echo saved]"


@pytest.mark.parametrize("query", ["", "?sort=nextRun"])
async def test_a_list_parses_definitions_that_are_not_cached_beside_the_event_loop(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    in_loop: list[bool] = []

    def note(spec: str, **options: Any) -> Loaded:
        in_loop.append(threading.current_thread() is threading.main_thread())
        return load(spec, **options)

    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        for number in range(5):
            spec = f"schedule: '0 {number} * * *'\nsteps: []\n"
            await client.post("/dags", json={"name": f"d{number}", "spec": spec})
            server.services.runs.library.evict([hash_of(spec)])
        monkeypatch.setattr("dagbook.spec.reading.definition_cache.load", note)
        monkeypatch.setattr("dagbook.spec.time.schedule.load", note)
        listed = (await client.get(f"/dags{query}")).json()["dags"]
    assert len(listed) == 5
    assert in_loop
    assert not any(in_loop)
