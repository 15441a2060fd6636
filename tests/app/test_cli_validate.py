"""``dagbook validate``: everything that is wrong with definitions, without a server."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from dagbook.cli import execute as run
from dagbook.spec.reading.load import NO_DOCUMENT
from tests.app.program import CommandLine

GOOD = "steps:\n  - command: 'true'\n"
BAD = "schedule: nonsense\nsteps:\n  - {name: a, comand: x}\n  - {name: b, command: x, depends: no}\n"


def test_a_valid_file_is_said_to_be_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    assert run(["validate", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: valid\n"


def test_every_problem_is_told_on_a_line_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    assert run(["validate", str(path)]) == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert {line.split(":")[1] for line in lines} == {"1", "3", "4"}
    assert all(line.startswith(f"{path}:") for line in lines)
    assert any("comand" in line for line in lines)


def test_of_several_files_each_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text(BAD)
    assert run(["validate", str(bad), str(good)]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{good}: valid\n"
    assert str(bad) in captured.err


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"steps: ["])
def test_what_cannot_be_read_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_bytes(content)
    assert run(["validate", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"{path}:")


def test_the_2x_dialect_is_told_once_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "later.yaml"
    path.write_text("max_active_runs: 1\nsteps:\n  - {run: echo a, retry_policy: {limit: 1}}\n")
    assert run(["validate", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'{path}:1:1: max_active_runs: the key "max_active_runs" is of the 2.x dialect')
    assert line.endswith("dagbook convert FILE")


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "{}", "---\n---\nsteps: [echo]\n"])
def test_a_file_without_a_definition_is_not_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text(content)
    assert run(["validate", str(path)]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"{path}: {NO_DOCUMENT}\n")


def test_without_a_file_there_is_nothing_to_validate(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate"]) == 1
    assert "FILE" in capsys.readouterr().err


SCHEMA = '{"properties": {"batch": {"type": "integer", "maximum": 10}}, "required": ["who"]}'


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ("{who: me, batch: 7}", ""),
        ("{who: me, batch: 25}", "params.batch: does not match the schema: 25 is greater than the maximum of 10"),
        ("{batch: 7}", "params: does not match the schema: 'who' is a required property"),
    ],
)
def test_params_have_to_fit_the_schema_beside_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: str, problem: str
) -> None:
    path = tmp_path / "flow.yaml"
    (tmp_path / "s.json").write_text(SCHEMA)
    path.write_text(f"params: {{schema: s.json, values: {values}}}\nsteps: [echo]\n")
    assert run(["validate", str(path)]) == (1 if problem else 0)
    said = capsys.readouterr()
    assert said.out + said.err == f"{path}: {problem or 'valid'}\n"


def test_a_schema_that_is_not_there_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text("params: {schema: none.json}\nsteps: [echo]\n")
    assert run(["validate", str(path)]) == 1
    told = f"{path}: params.schema: 'none.json' was not found; looked for {tmp_path}/none.json\n"
    assert capsys.readouterr().err == told


async def test_a_stored_dag_is_looked_at_by_its_name(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    (tmp_path / "file.yaml").write_text(GOOD)
    async with line.server() as address:
        async with httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
            assert (await client.post("/dags", json={"name": "good.one", "spec": GOOD})).status_code == 201
        said = await line.run("validate", "good.one", "file.yaml", "none", "none.yaml")
        assert said.status == 1
        assert said.out == "good.one: valid\nfile.yaml: valid\n"
        missing = "there is no file and no stored DAG named"
        assert said.err == f"{missing} 'none'\n{missing} 'none.yaml'\n"
    assert (await line.run("validate", "good.one")).status == 0


def test_for_a_name_no_database_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGBOOK_HOME", str(tmp_path / "home"))
    assert run(["validate", "flow"]) == 1
    assert capsys.readouterr().err == "there is no file and no stored DAG named 'flow'\n"
    assert list(tmp_path.iterdir()) == []
