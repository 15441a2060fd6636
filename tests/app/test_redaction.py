"""A text with a pasted secret is removed, and what stood on it still reads (house section 6)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.auth.roles import Role
from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.people import People

SECRET = "hunter2-in-the-text"  # noqa: S105 - of the test
CLEAN = "steps: [{name: a, command: 'true'}]\n"


def _leaky(dagbook: Dagbook) -> str:
    return f"# {dagbook.name}\nsteps: [{{name: a, command: 'true', description: {SECRET}}}]\n"


async def _create(dagbook: Dagbook, *texts: str) -> str:
    """Store a DAG whose first text holds the secret."""
    path = f"/dags/{dagbook.name}"
    assert (await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": _leaky(dagbook)})).is_success
    for text in texts:
        assert (await dagbook.client.put(f"{path}/spec", json={"spec": text})).json() == {"errors": []}
    return path


def _error(answer: httpx.Response) -> tuple[int, str]:
    assert answer.json()["message"]
    return answer.status_code, answer.json()["code"]


async def test_a_redacted_revision_says_when_and_by_whom_and_has_no_text(dagbook: Dagbook) -> None:
    path = await _create(dagbook, CLEAN)
    answer = await dagbook.client.post(f"{path}/revisions/1/redact")
    read = (await dagbook.client.get(f"{path}/revisions/1")).json()
    assert (answer.status_code, answer.json()) == (200, read)
    assert "spec" not in read
    assert (read["redactedBy"], read["redactedAt"][-1]) == ("anonymous", "Z")


async def test_a_redacted_revision_names_the_admin_who_did_it(people: People, name: str) -> None:
    admin = await people.add(Role.ADMIN)
    async with people.client(admin.token) as client:
        path = await _create(Dagbook(client, name), CLEAN)
        assert (await client.post(f"{path}/revisions/1/redact")).json()["redactedBy"] == admin.name


async def test_the_list_tells_which_revision_was_redacted(dagbook: Dagbook) -> None:
    path = await _create(dagbook, CLEAN)
    await dagbook.client.post(f"{path}/revisions/1/redact")
    listed = (await dagbook.client.get(f"{path}/revisions")).json()["revisions"]
    assert ["redactedAt" in revision for revision in listed] == [False, True]


async def test_redacting_again_changes_nothing(dagbook: Dagbook) -> None:
    path = await _create(dagbook, CLEAN)
    first = await dagbook.client.post(f"{path}/revisions/1/redact")
    again = await dagbook.client.post(f"{path}/revisions/1/redact")
    assert (again.status_code, again.json()) == (200, first.json())


async def test_of_several_who_redact_at_once_all_are_content(dagbook: Dagbook) -> None:
    path = await _create(dagbook, CLEAN)
    answers = await asyncio.gather(*(dagbook.client.post(f"{path}/revisions/1/redact") for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.text for answer in answers}) == 1


async def test_every_revision_of_the_same_text_is_redacted_with_it(dagbook: Dagbook) -> None:
    path = await _create(dagbook, CLEAN, _leaky(dagbook), CLEAN)
    await dagbook.client.post(f"{path}/revisions/1/redact")
    assert "redactedAt" in (await dagbook.client.get(f"{path}/revisions/3")).json()
    assert "redactedAt" not in (await dagbook.client.get(f"{path}/revisions/2")).json()


async def test_the_text_that_a_dag_has_now_is_not_redacted(dagbook: Dagbook) -> None:
    path = await _create(dagbook)
    answer = await dagbook.client.post(f"{path}/revisions/1/redact")
    assert _error(answer) == (400, "bad_request")
    assert dagbook.name in answer.json()["message"]
    assert (await dagbook.client.get(f"{path}/revisions/1")).json()["spec"] == _leaky(dagbook)


async def test_a_text_that_a_run_works_from_is_not_redacted(dagbook: Dagbook) -> None:
    long = f"# {dagbook.name}\nsteps: [{{name: a, command: echo ready; sleep 30}}]\n"
    path = await _create(dagbook, long, CLEAN)
    await dagbook.start(long, dagRunId="r1")
    await dagbook.running("r1", "a", "ready")
    answer = await dagbook.client.post(f"{path}/revisions/2/redact")
    assert _error(answer) == (400, "not_running")
    assert "r1" in answer.json()["message"]
    await dagbook.stop("r1")
    assert (await dagbook.client.post(f"{path}/revisions/2/redact")).status_code == 200


async def _ran_and_redacted(dagbook: Dagbook) -> str:
    path = await _create(dagbook)
    started = await dagbook.client.post(f"{path}/start", json={"dagRunId": "r1"})
    await dagbook.finished(started.json()["dagRunId"])
    await dagbook.client.put(f"{path}/spec", json={"spec": CLEAN})
    assert (await dagbook.client.post(f"{path}/revisions/1/redact")).status_code == 200
    return path


async def test_a_run_of_a_redacted_text_still_reads_but_no_longer_tells_the_secret(dagbook: Dagbook) -> None:
    path = await _ran_and_redacted(dagbook)
    for place in (f"/dag-runs/{dagbook.name}/r1", f"{path}/dag-runs", f"{path}/dag-runs/r1", path):
        answer = await dagbook.client.get(place)
        assert answer.status_code == 200
        assert '"statusLabel":"succeeded"' in answer.text
        assert SECRET not in answer.text, place


@pytest.mark.parametrize("how", ["retry", "reschedule"])
async def test_a_run_of_a_redacted_text_is_not_tried_again(dagbook: Dagbook, how: str) -> None:
    await _ran_and_redacted(dagbook)
    body = {"dagRunId": "r1"} if how == "retry" else {}
    answer = await dagbook.client.post(f"/dag-runs/{dagbook.name}/r1/{how}", json=body)
    assert _error(answer) == (400, "bad_request")
    assert "redacted" in answer.json()["message"]


async def test_a_redacted_text_is_neither_restored_nor_compared(dagbook: Dagbook) -> None:
    path = await _ran_and_redacted(dagbook)
    for answer in (
        await dagbook.client.post(f"{path}/revisions/1/restore"),
        await dagbook.client.get(f"{path}/revisions/diff?from=1&to=2"),
        await dagbook.client.get(f"{path}/revisions/diff?from=2&to=1"),
    ):
        assert _error(answer) == (400, "bad_request")
        assert "redacted" in answer.json()["message"]


async def test_a_redacted_text_is_not_stored_again(dagbook: Dagbook) -> None:
    path = await _ran_and_redacted(dagbook)
    saved = await dagbook.client.put(f"{path}/spec", json={"spec": _leaky(dagbook)})
    created = await dagbook.client.post("/dags", json={"name": f"{dagbook.name}-b", "spec": _leaky(dagbook)})
    assert _error(saved) == _error(created) == (400, "bad_request")
    assert saved.json()["message"].startswith("spec:")
    assert (await dagbook.client.get(f"{path}/spec")).json()["spec"] == CLEAN
    assert (await dagbook.client.get(f"/dags/{dagbook.name}-b")).status_code == 404


@pytest.mark.parametrize("turn", range(3))
async def test_a_text_that_is_saved_while_it_is_redacted_is_one_or_the_other(dagbook: Dagbook, turn: int) -> None:
    path = await _create(dagbook, CLEAN)
    asked = [
        dagbook.client.post(f"{path}/revisions/1/redact"),
        *(dagbook.client.put(f"{path}/spec", json={"spec": _leaky(dagbook)}) for _ in range(turn + 1)),
    ]
    redacted, *saved = await asyncio.gather(*asked)
    now = (await dagbook.client.get(f"{path}/spec")).json()["spec"]
    if redacted.status_code == 200:
        assert (now, {answer.status_code for answer in saved}) == (CLEAN, {400})
    else:
        assert (now, redacted.status_code) == (_leaky(dagbook), 400)


async def test_a_redacted_text_can_be_run_but_is_not_kept(dagbook: Dagbook, server: Server) -> None:
    await _ran_and_redacted(dagbook)
    ended = await dagbook.run(_leaky(dagbook), dagRunId="r2")
    assert ended.status == "succeeded"
    assert _leaky(dagbook) not in await _texts_of(server)


async def test_runs_with_a_base_configuration_lose_the_text_too(database_url: str, tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("env: [FROM: base]\n")
    async with serving(database_url, tmp_path, base_config=str(base)) as server, client_of(server) as client:
        await _ran_and_redacted(Dagbook(client, "etl"))
        assert SECRET not in (await client.get("/dag-runs/etl/r1")).text
        assert SECRET not in await _texts_of(server)


async def _texts_of(server: Server) -> str:
    def read(connection: Any) -> str:
        return "\n".join(text or "" for (text,) in connection.exec_driver_sql("SELECT spec FROM definitions"))

    return await server.services.runs.database.read(read)
