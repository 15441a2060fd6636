"""The history of a stored DAG: every save is a revision (an extension of the contract)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from dagbook.auth.roles import Role
from tests.app.dagbook import Dagbook
from tests.app.people import People

FIRST = "steps: [{name: a, command: echo one}]\n"
SECOND = "steps: [{name: a, command: echo two}]\n"
BROKEN = "steps: [{comand: x}]\n"


async def _create(dagbook: Dagbook, *texts: str) -> str:
    """Store a DAG with these texts one after the other; gives its path."""
    first, *others = texts or (FIRST, SECOND)
    answer = await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": first})
    assert answer.status_code == 201, answer.text
    path = f"/dags/{dagbook.name}"
    for text in others:
        assert (await _save(dagbook, text)).json() == {"errors": []}
    return path


async def _save(dagbook: Dagbook, text: str, if_match: str | None = None, **body: Any) -> httpx.Response:
    headers = {} if if_match is None else {"If-Match": if_match}
    return await dagbook.client.put(f"/dags/{dagbook.name}/spec", json={"spec": text, **body}, headers=headers)


async def _numbers(dagbook: Dagbook, query: str = "") -> list[int]:
    answer = await dagbook.client.get(f"/dags/{dagbook.name}/revisions{query}")
    assert answer.status_code == 200, answer.text
    return [revision["number"] for revision in answer.json()["revisions"]]


async def _text(dagbook: Dagbook) -> str:
    return str((await dagbook.client.get(f"/dags/{dagbook.name}/spec")).json()["spec"])


def _error(answer: httpx.Response) -> tuple[int, str]:
    assert answer.json()["message"]
    return answer.status_code, answer.json()["code"]


# -- list, text, diff ----------------------------------------------------------------------------------------------


async def test_every_save_is_a_revision_and_the_newest_is_listed_first(dagbook: Dagbook) -> None:
    path = await _create(dagbook, FIRST, SECOND, SECOND)
    answer = (await dagbook.client.get(f"{path}/revisions")).json()
    assert [revision["number"] for revision in answer["revisions"]] == [3, 2, 1]
    assert answer["pagination"]["totalRecords"] == 3
    assert all(revision["savedAt"].endswith("Z") for revision in answer["revisions"])
    hashes = [revision["hash"] for revision in answer["revisions"]]
    assert hashes[0] == hashes[1] != hashes[2]


async def test_a_text_that_is_not_saved_is_no_revision(dagbook: Dagbook) -> None:
    await _create(dagbook, FIRST)
    assert (await _save(dagbook, BROKEN)).json()["errors"]
    assert await _numbers(dagbook) == [1]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("?perPage=2", [5, 4]),
        ("?perPage=2&page=2", [3, 2]),
        ("?perPage=2&page=3", [1]),
        ("?perPage=2&page=4", []),
        ("?page=0&perPage=0", [5, 4, 3, 2, 1]),
    ],
)
async def test_revisions_are_listed_in_pages(dagbook: Dagbook, query: str, numbers: list[int]) -> None:
    await _create(dagbook, *[FIRST, SECOND] * 2, FIRST)
    assert await _numbers(dagbook, query) == numbers


async def test_a_revision_keeps_its_text_and_its_note(dagbook: Dagbook) -> None:
    path = await _create(dagbook, FIRST)
    await _save(dagbook, SECOND, note="says two")
    first = (await dagbook.client.get(f"{path}/revisions/1")).json()
    second = (await dagbook.client.get(f"{path}/revisions/2")).json()
    assert (first["spec"], first.get("note")) == (FIRST, None)
    assert (second["spec"], second.get("note")) == (SECOND, "says two")


async def test_a_dag_is_created_with_a_note(dagbook: Dagbook) -> None:
    body = {"name": dagbook.name, "spec": FIRST, "note": "begun"}
    assert (await dagbook.client.post("/dags", json=body)).status_code == 201
    assert (await dagbook.client.get(f"/dags/{dagbook.name}/revisions/1")).json()["note"] == "begun"


async def test_a_note_of_half_a_character_is_no_json(dagbook: Dagbook) -> None:
    path = await _create(dagbook, FIRST)
    body = b'{"spec": "steps: []", "note": "\\ud800"}'
    assert _error(await dagbook.client.put(f"{path}/spec", content=body)) == (400, "bad_request")


@pytest.mark.parametrize("note", ["a\0b", "x" * 1001, 5])
async def test_a_note_that_cannot_be_stored_is_refused_by_its_name(dagbook: Dagbook, note: object) -> None:
    await _create(dagbook, FIRST)
    answer = await _save(dagbook, SECOND, note=note)
    assert _error(answer) == (400, "bad_request")
    assert answer.json()["message"].startswith("note")
    assert await _numbers(dagbook) == [1]


async def test_an_empty_text_is_a_text(dagbook: Dagbook) -> None:
    path = await _create(dagbook, FIRST, "")
    assert (await dagbook.client.get(f"{path}/revisions/2")).json()["spec"] == ""


async def test_a_diff_shows_what_changed_in_either_direction(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    there = (await dagbook.client.get(f"{path}/revisions/diff?from=1&to=2")).json()
    back = (await dagbook.client.get(f"{path}/revisions/diff?from=2&to=1")).json()
    names = [f"{dagbook.name} (revision {number})" for number in (1, 2)]
    assert there == {
        "from": 1,
        "to": 2,
        "diff": f"--- {names[0]}\n+++ {names[1]}\n@@ -1 +1 @@\n-{FIRST}+{SECOND}",
    }
    assert back["diff"] == f"--- {names[1]}\n+++ {names[0]}\n@@ -1 +1 @@\n-{SECOND}+{FIRST}"


async def test_a_revision_does_not_differ_from_itself(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    assert (await dagbook.client.get(f"{path}/revisions/diff?from=2&to=2")).json()["diff"] == ""


async def test_a_text_is_compared_with_the_newest_revision_and_not_saved(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    answer = (await dagbook.client.post(f"{path}/revisions/diff", json={"spec": FIRST})).json()
    names = [f"{dagbook.name} ({name})" for name in ("revision 2", "not saved")]
    assert answer == {"revision": 2, "diff": f"--- {names[0]}\n+++ {names[1]}\n@@ -1 +1 @@\n-{SECOND}+{FIRST}"}
    same = (await dagbook.client.post(f"{path}/revisions/diff", json={"spec": SECOND})).json()
    assert same == {"revision": 2, "diff": ""}
    assert await _numbers(dagbook) == [2, 1]


@pytest.mark.parametrize("number", ["0", "3", "-1", "x", "1.0", "%00", "²", "9" * 9, "9" * 5000])
@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("POST", "/restore"), ("POST", "/redact")])
async def test_a_revision_that_is_not_there_is_not_found(dagbook: Dagbook, number: str, method: str, tail: str) -> None:
    path = await _create(dagbook)
    answer = await dagbook.client.request(method, f"{path}/revisions/{number}{tail}")
    assert _error(answer) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("?from=1", 400, "'to'"),
        ("?to=1", 400, "'from'"),
        ("?from=x&to=1", 400, "from:"),
        ("?from=1&to=1&to=2", 400, "to:"),
        ("?from=1&to=3", 404, "revision"),
        ("?from=0&to=1", 404, "revision"),
        (f"?from=1&to={'9' * 30}", 404, "revision"),
    ],
)
async def test_a_diff_of_what_is_not_there_is_refused(dagbook: Dagbook, query: str, status: int, named: str) -> None:
    path = await _create(dagbook)
    answer = await dagbook.client.get(f"{path}/revisions/diff{query}")
    assert _error(answer)[0] == status
    assert named in answer.json()["message"]


@pytest.mark.parametrize("odd", ["nobody", "%2E%2E", "a%00b", "x" * 10_000])
@pytest.mark.parametrize(
    ("method", "tail"),
    [("GET", ""), ("GET", "/1"), ("GET", "/diff?from=1&to=1"), ("POST", "/1/restore"), ("POST", "/1/redact")],
)
async def test_what_is_not_stored_has_no_history(client: httpx.AsyncClient, odd: str, method: str, tail: str) -> None:
    assert _error(await client.request(method, f"/dags/{odd}/revisions{tail}")) == (404, "not_found")


async def test_a_renamed_dag_keeps_its_history(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    assert (await dagbook.client.post(f"{path}/rename", json={"newFileName": f"{dagbook.name}-b"})).status_code == 200
    answer = await dagbook.client.get(f"{path}-b/revisions")
    assert [revision["number"] for revision in answer.json()["revisions"]] == [2, 1]


async def test_a_dag_that_is_created_again_restarts_its_revisions(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    await dagbook.client.delete(path)
    await _create(dagbook, FIRST)
    assert await _numbers(dagbook) == [1]


async def test_a_revision_names_its_author(people: People, name: str) -> None:
    first, second = await people.add(Role.MANAGER), await people.add(Role.MANAGER)
    async with people.client(first.token) as one, people.client(second.token) as other:
        await _create(Dagbook(one, name), FIRST)
        await _save(Dagbook(other, name), SECOND)
        await one.post(f"/dags/{name}/revisions/1/restore")
        listed = (await other.get(f"/dags/{name}/revisions")).json()["revisions"]
    assert [revision["author"] for revision in listed] == [first.name, second.name, first.name]


# -- restore -------------------------------------------------------------------------------------------------------


async def test_restoring_saves_the_old_text_as_the_newest_revision(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    answer = await dagbook.client.post(f"{path}/revisions/1/restore")
    assert (answer.status_code, answer.json()) == (200, {"errors": [], "revision": 3})
    assert answer.headers["ETag"] == '"3"'
    assert await _text(dagbook) == FIRST
    assert (await dagbook.client.get(f"{path}/revisions/3")).json()["note"] == "restores revision 1"
    assert await _numbers(dagbook) == [3, 2, 1]


async def test_restoring_takes_a_note(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    await dagbook.client.post(f"{path}/revisions/1/restore", json={"note": "two was wrong"})
    assert (await dagbook.client.get(f"{path}/revisions/3")).json()["note"] == "two was wrong"


async def test_restoring_over_a_newer_revision_than_the_one_seen_is_refused(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    answer = await dagbook.client.post(f"{path}/revisions/1/restore", headers={"If-Match": '"1"'})
    assert _error(answer) == (412, "already_exists")
    assert await _text(dagbook) == SECOND


# -- saving over somebody else's revision --------------------------------------------------------------------------


async def test_the_text_comes_with_the_number_of_its_revision(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    assert (await dagbook.client.get(f"{path}/spec")).headers["ETag"] == '"2"'
    assert (await _save(dagbook, FIRST)).headers["ETag"] == '"3"'
    assert "ETag" not in (await _save(dagbook, BROKEN)).headers


@pytest.mark.parametrize("if_match", ['"2"', 'W/"2"', '"1", "2"', "*", ' "7" ,"2" '])
async def test_a_save_over_the_edited_revision_succeeds(dagbook: Dagbook, if_match: str) -> None:
    await _create(dagbook)
    answer = await _save(dagbook, FIRST, if_match)
    assert (answer.status_code, answer.json()) == (200, {"errors": []})
    assert await _text(dagbook) == FIRST


@pytest.mark.parametrize("if_match", ['"1"', '"3"', '"x"', '""', '"02"', f'"{"9" * 40}"'])
@pytest.mark.parametrize("text", [FIRST, BROKEN])
async def test_a_save_over_another_revision_is_refused_and_changes_nothing(
    dagbook: Dagbook, if_match: str, text: str
) -> None:
    await _create(dagbook)
    answer = await _save(dagbook, text, if_match)
    assert _error(answer) == (412, "already_exists")
    assert answer.json()["message"].startswith("If-Match:")
    assert (await _text(dagbook), await _numbers(dagbook)) == (SECOND, [2, 1])


@pytest.mark.parametrize("if_match", ["2", '"2', "", '"1" "2"', "W/2"])
async def test_what_is_no_etag_is_refused_by_the_name_of_its_header(dagbook: Dagbook, if_match: str) -> None:
    await _create(dagbook)
    answer = await _save(dagbook, FIRST, if_match)
    assert _error(answer) == (400, "bad_request")
    assert answer.json()["message"].startswith("If-Match:")


async def test_of_many_edits_of_the_same_revision_one_succeeds(dagbook: Dagbook) -> None:
    await _create(dagbook, FIRST)
    answers = await asyncio.gather(*(_save(dagbook, f"{SECOND}# {number}\n", '"1"') for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 5]
    assert await _numbers(dagbook) == [2, 1]


async def test_a_save_of_what_is_not_stored_is_not_found_whatever_was_edited(client: httpx.AsyncClient) -> None:
    answer = await client.put("/dags/nobody/spec", json={"spec": FIRST}, headers={"If-Match": '"1"'})
    assert _error(answer) == (404, "not_found")


# -- runs ----------------------------------------------------------------------------------------------------------


async def _revision(dagbook: Dagbook, run_id: str, name: str = "") -> int | None:
    details = (await dagbook.finished(run_id, name)).details
    revision: int | None = details.get("revision")
    return revision


async def _start(dagbook: Dagbook, run_id: str) -> None:
    answer = await dagbook.client.post(f"/dags/{dagbook.name}/start", json={"dagRunId": run_id})
    assert answer.status_code == 200, answer.text


async def test_a_run_names_the_revision_it_ran_also_when_there_are_newer_ones(dagbook: Dagbook) -> None:
    await _create(dagbook)
    await _start(dagbook, "r1")
    await dagbook.finished("r1")
    await _save(dagbook, SECOND)
    await _start(dagbook, "r2")
    assert (await _revision(dagbook, "r1"), await _revision(dagbook, "r2")) == (2, 3)


async def test_every_place_that_shows_a_run_names_its_revision(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    await _start(dagbook, "r1")
    await dagbook.finished("r1")
    listed = (await dagbook.client.get(f"/dag-runs/{dagbook.name}")).json()["dagRuns"]
    history = (await dagbook.client.get(f"{path}/dag-runs")).json()["dagRuns"]
    latest = (await dagbook.client.get(path)).json()["latestDAGRun"]
    assert [run["revision"] for run in (*listed, *history, latest)] == [2, 2, 2]


async def test_a_run_of_a_text_that_is_not_stored_names_no_revision(dagbook: Dagbook) -> None:
    await _create(dagbook)
    assert "revision" not in (await dagbook.run(FIRST, dagRunId="r1")).details


async def test_a_rescheduled_run_names_the_revision_whose_text_it_runs(dagbook: Dagbook) -> None:
    await _create(dagbook, FIRST)
    await _start(dagbook, "r1")
    await dagbook.finished("r1")
    await _save(dagbook, SECOND)
    again = await dagbook.client.post(f"/dag-runs/{dagbook.name}/r1/reschedule", json={"dagRunId": "r2"})
    assert again.status_code == 200, again.text
    assert await _revision(dagbook, "r2") == 1


async def test_a_called_dag_names_a_revision_of_its_own(dagbook: Dagbook) -> None:
    await _create(dagbook, FIRST, SECOND, FIRST)
    caller = Dagbook(dagbook.client, f"{dagbook.name}-p")
    parent = (await caller.run(f"steps: [{{name: a, call: {dagbook.name}}}]\n")).path
    called = (await dagbook.client.get(f"{parent}/sub-dag-runs")).json()["subRuns"]
    details = (await dagbook.client.get(f"{parent}/sub-dag-runs/{called[0]['dagRunId']}")).json()["dagRunDetails"]
    assert details["revision"] == 3
