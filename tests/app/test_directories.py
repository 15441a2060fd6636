"""Where runs work and what they find there: one folder for stored DAGs, one of its own for each text (runtime 10.2)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from dagbook.db.database import WriteConnection
from dagbook.db.models import Run, RunInput
from dagbook.main import Server
from tests.app.dagbook import Dagbook, FinishedRun
from tests.waiting import wait_until

COUNT = "steps: [{{name: a, command: 'echo x >> {0}.runs; wc -l < {0}.runs'}}, {{name: b, command: pwd}}]\n"


async def _store(dagbook: Dagbook, spec: str, name: str = "") -> None:
    answer = await dagbook.client.post("/dags", json={"name": name or dagbook.name, "spec": spec})
    assert answer.status_code == 201, answer.text


async def _ask(dagbook: Dagbook, path: str, **body: Any) -> str:
    answer = await dagbook.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["dagRunId"] if answer.content else body["dagRunId"])


async def _started(dagbook: Dagbook, how: str = "start", **body: Any) -> FinishedRun:
    return await dagbook.finished(await _ask(dagbook, f"/dags/{dagbook.name}/{how}", **body))


async def _removed(*folders: Path) -> None:
    """A folder is removed after the commit of the end of its run."""

    async def are_removed() -> bool:
        return not any(folder.exists() for folder in folders)

    assert await wait_until(are_removed)


def _work_dir(server: Server) -> Path:
    return server.supervisor._context.work_dir


async def test_runs_of_a_stored_dag_work_in_one_folder_however_they_begin(server: Server, dagbook: Dagbook) -> None:
    await _store(dagbook, COUNT.format(dagbook.name))
    runs = [await _started(dagbook, dagRunId="r1"), await _started(dagbook, "enqueue")]
    await _ask(dagbook, f"{runs[0].path}/reschedule", dagRunId="r3")
    runs.append(await dagbook.finished("r3"))
    assert [await run.log("a") for run in runs] == ["1", "2", "3"]
    assert {await run.log("b") for run in runs} == {str(_work_dir(server))}


async def test_a_retry_works_where_the_run_did(server: Server, dagbook: Dagbook) -> None:
    spec = "steps: [{{name: a, command: 'pwd; test -e {0}.seen || {{ touch {0}.seen; false; }}'}}]\n"
    await _store(dagbook, spec.format(dagbook.name))
    assert (await _started(dagbook, dagRunId="r1")).status == "failed"
    await _ask(dagbook, f"/dag-runs/{dagbook.name}/r1/retry", dagRunId="r1")
    ended = await dagbook.finished("r1")
    assert (ended.status, await ended.log("a")) == ("succeeded", str(_work_dir(server)))


async def test_a_retry_of_a_run_that_had_a_folder_of_its_own_works_in_the_common_one_and_removes_nothing(
    server: Server, dagbook: Dagbook
) -> None:
    """As runs of stored DAGs were kept by versions before."""
    await _store(dagbook, COUNT.format(dagbook.name))
    await _started(dagbook, dagRunId="r1")

    def age(connection: WriteConnection) -> None:
        of_dag = RunInput.run_id.in_(select(Run.id).where(Run.dag_name == dagbook.name))
        connection.execute(update(RunInput).where(of_dag).values(keep_dir=False, work_dir="/nonexistent/1_1_work"))

    await server.services.runs.database.write(age)
    await _ask(dagbook, f"/dag-runs/{dagbook.name}/r1/retry", dagRunId="r1", stepName="b")
    ended = await dagbook.finished("r1")
    assert await ended.log("b") == str(_work_dir(server))
    assert (_work_dir(server) / f"{dagbook.name}.runs").read_text() == "x\n"


async def test_a_called_dag_works_where_the_calling_step_does_in_a_retry_too(
    server: Server, dagbook: Dagbook, tmp_path: Path
) -> None:
    kid = f"{dagbook.name}-kid"
    await _store(dagbook, f"steps: [{{name: a, command: 'pwd; test -e {tmp_path}/go', output: WHERE}}]\n", kid)
    spec = f"steps: [{{name: go, call: {kid}}}, {{name: there, call: {kid}, workingDir: {tmp_path}}}]\n"
    await _store(dagbook, spec)
    assert (await _started(dagbook, dagRunId="r1")).status == "failed"
    (tmp_path / "go").touch()
    await _ask(dagbook, f"/dag-runs/{dagbook.name}/r1/retry", dagRunId="r1")
    ended = await dagbook.finished("r1")
    assert ended.status == "succeeded"
    assert f'"WHERE": "{_work_dir(server)}"' in await ended.log("go")
    assert f'"WHERE": "{tmp_path}"' in await ended.log("there")


async def test_what_an_inline_run_calls_is_tried_again_in_the_folder_of_the_retry(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = f"""
steps: [{{name: here, command: pwd, output: HERE}}, {{name: go, call: kid}}]
---
name: kid
steps: [{{name: a, command: 'pwd; test -e {tmp_path}/go', output: WHERE}}]
"""
    assert (await dagbook.run(spec, dagRunId="r1")).status == "failed"
    (tmp_path / "go").touch()
    await _ask(dagbook, f"/dag-runs/{dagbook.name}/r1/retry", dagRunId="r1")
    ended = await dagbook.finished("r1")
    assert ended.status == "succeeded"
    where = (await ended.log("go")).partition('"WHERE": "')[2].partition('"')[0]
    assert where.endswith("_2_work")
    await _removed(Path(where))


async def test_an_inline_run_has_a_folder_of_its_own_until_its_end(server: Server, dagbook: Dagbook) -> None:
    first, second = [await dagbook.run(COUNT.format("s")) for _ in range(2)]
    assert [await run.log("a") for run in (first, second)] == ["1", "1"]
    folders = [Path(await run.log("b")) for run in (first, second)]
    assert len({*folders, _work_dir(server)}) == 3
    await _removed(*folders)


async def test_a_relative_working_directory_of_a_stored_dag_lies_below_the_common_folder(
    server: Server, dagbook: Dagbook
) -> None:
    await _store(dagbook, f"workingDir: {dagbook.name}\nsteps: [{{name: a, command: pwd, workingDir: below}}]\n")
    assert await (await _started(dagbook)).log("a") == str(_work_dir(server) / dagbook.name / "below")


async def test_scripts_dotenv_schemas_and_secrets_of_a_stored_dag_are_found_where_it_works(
    server: Server, dagbook: Dagbook
) -> None:
    folder = _work_dir(server) / dagbook.name
    folder.mkdir()
    (folder / "run.sh").write_text('echo "$FROM_DOTENV $A ${#SECRET}"\n')
    (folder / "my.env").write_text("FROM_DOTENV=dotenv\n")
    (folder / "s.json").write_text('{"properties": {"A": {"type": "integer", "default": 7}}}')
    (folder / "key").write_text("12345")
    spec = f"""
dotenv: {dagbook.name}/my.env
params: {{schema: {dagbook.name}/s.json}}
secrets: [{{name: SECRET, provider: file, key: {dagbook.name}/key}}]
steps: [{{name: a, command: sh {dagbook.name}/run.sh}}]
"""
    await _store(dagbook, spec)
    ended = await _started(dagbook)
    assert await ended.log("a") == "dotenv 7 5"


async def test_the_common_folder_is_made_when_it_is_missing(server: Server, dagbook: Dagbook) -> None:
    shutil.rmtree(_work_dir(server))
    await _store(dagbook, COUNT.format(dagbook.name))
    assert await (await _started(dagbook)).log("b") == str(_work_dir(server))


async def test_a_text_may_name_a_dotenv_file_by_its_whole_path(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("FROM=dotenv\n")
    ended = await dagbook.run(f"dotenv: {tmp_path}/my.env\nsteps: [{{name: a, command: printenv FROM}}]\n")
    assert await ended.log("a") == "dotenv"
