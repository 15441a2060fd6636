"""``dagbook export``: a home of Dagu 1.x, which an import reads back to the same rows."""

from __future__ import annotations

import json
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dagbook.transfer import exporting
from tests.app.program import CommandResult
from tests.dagu_home import BCRYPT, START, DaguHome, node, succeeded, text, waiting_node

Command = Callable[..., CommandResult]
KEEP = "--retention-days=-1"
_TABLES = (
    *("definitions", "runs", "run_attempts", "run_inputs", "nodes", "run_events", "log_chunks", "run_tags"),
    *("run_params", "run_errors"),
)
_VOLATILE = {"definitions": {"created_at"}}


def _rows(database: Path) -> dict[str, list[str]]:
    """Return all rows of the history."""
    found = {}
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        for table in _TABLES:
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608 - of this file
            kept = [
                {name: value for name, value in row.items() if name not in _VOLATILE.get(table, ())} for row in rows
            ]
            found[table] = sorted(map(repr, kept))
    return found


def _fill(source: DaguHome) -> None:
    """Fill a home with a retried run, sub-runs, handlers, output and a run that failed."""
    source.definition("etl", suspended=True)
    source.definition("other", "steps: [{name: a, command: 'true'}]\n")
    (source.path / "base.yaml").write_text("env:\n  - BASE: yes\n")
    kept = node("one", doneCount=1, stdout=source.log("a.out", b"kept\n"), stderr=source.log("a.err", b"bad\n"))
    failed = node("two", 2, stdout=source.log("b.out", b"no\n" * 50_000), error="failed: exit status 3", retryCount=1)
    again = node("two", at=START + timedelta(minutes=1), stdout=source.log("c.out", b"yes"), retryCount=1)
    first, second = succeeded([kept, failed], status=2), succeeded([kept, again], at=START + timedelta(minutes=1))
    source.run("etl", "retried", first, second)
    waited = succeeded([waiting_node("one"), waiting_node("two")], status=5, startedAt="", finishedAt="")
    begun = succeeded(at=START + timedelta(minutes=1), queuedAt=text(START))
    source.run("etl", "queued", waited, begun)
    spec = "steps:\n  - name: call\n    call: child\nhandlerOn:\n  exit: {command: echo bye}\n"
    call = node("call", children=[{"dagRunId": "sub1", "params": "X=1"}])
    call["step"] = {"name": "call", "childDag": {"name": "child"}}
    bye = node("onExit", stdout=source.log("bye.out", b"bye\n"))
    root = source.run("top", "called", succeeded([call], onExit=bye), at=START + timedelta(days=1), spec=spec)
    parent = {"name": "top", "id": "called"}
    source.sub_run(root, "sub1", succeeded(name="child", parent=parent, root=parent))
    source.run("named.inside", "dotted", succeeded(at=START + timedelta(days=2)), at=START + timedelta(days=2))


@pytest.fixture
def imported(command: Command, tmp_path: Path) -> Path:
    """The folder of an export to come, with a home imported into the database of the command."""
    source = DaguHome(tmp_path / "old home")
    _fill(source)
    assert command("import", source.path, "--yes", KEEP).status == 0
    return tmp_path / "exported"


def _export(command: Command, folder: Path, *options: str, status: int = 0) -> dict[str, Any]:
    said = command("export", folder, "--json", *options)
    assert (said.status, said.err) == (status, ""), said.out
    report: dict[str, Any] = json.loads(said.out)
    return report


def test_an_exported_home_is_imported_again_to_the_same_rows(command: Command, imported: Path, tmp_path: Path) -> None:
    report = _export(command, imported)
    counts = {name: report[name]["exported"] for name in ("definitions", "suspended", "base", "runs")}
    assert counts == {"definitions": 2, "suspended": 1, "base": 1, "runs": 4}
    assert report["stored"] == {"subRuns": 1, "attempts": 6, "steps": 11, "logBytes": 150_016}
    assert report["complete"]
    assert (imported / "dags" / "other.yaml").read_text() == "steps: [{name: a, command: 'true'}]\n"
    assert [path.name for path in (imported / "suspend").iterdir()] == ["etl.suspend"]
    folders = sorted(path.name for path in (imported / "data" / "dag-runs").iterdir())
    assert folders == ["etl", "named_inside-97b7", "top"]
    again = tmp_path / "again.sqlite3"
    said = command("import", imported, "--yes", KEEP, "--database-url", f"sqlite:///{again}")
    assert (said.status, said.err) == (0, "")
    assert _rows(again) == _rows(tmp_path / "dagbook.sqlite3")


def test_files_of_an_export_are_for_their_owner_alone_and_complete(command: Command, imported: Path) -> None:
    (imported / ".dagbook-export" / "run" / "left").mkdir(parents=True)
    _export(command, imported)
    assert {path.stat().st_mode & 0o077 for path in imported.rglob("*") if path.is_file()} == {0}
    assert sorted(path.name for path in imported.iterdir()) == ["base.yaml", "dags", "data", "logs", "suspend"]


def test_a_repeated_export_adds_what_is_missing_and_replaces_only_on_request(command: Command, imported: Path) -> None:
    _export(command, imported)
    assert [_export(command, imported)[name]["present"] for name in ("definitions", "runs")] == [2, 4]
    (imported / "dags" / "etl.yaml").write_text("# mine\n")
    next(imported.glob("data/dag-runs/etl/**/*_retried/*/status.jsonl")).write_text("{}\n")
    folder = next(imported.glob("data/dag-runs/top/dag-runs/*/*/*/*"))
    folder.rename(folder.parent / "dag-run_20310502_080000Z_moved")
    report = _export(command, imported, status=1)
    assert [report[name]["differing"] for name in ("definitions", "runs")] == [1, 1]
    assert report["runs"]["exported"] == 1
    assert {finding["name"] for finding in report["findings"]} == {"etl", "etl/retried"}
    assert (imported / "dags" / "etl.yaml").read_text() == "# mine\n"
    assert _export(command, imported, "--replace")["runs"]["exported"] == 1
    assert (imported / "dags" / "etl.yaml").read_text() != "# mine\n"


def test_records_name_the_place_where_the_home_will_be(command: Command, imported: Path) -> None:
    _export(command, imported, "--place", "/srv/dagu")
    status = json.loads(next(imported.glob("data/dag-runs/etl/**/*_retried/attempt_*/status.jsonl")).read_text())
    log = Path(status["nodes"][0]["stdout"])
    assert log.is_relative_to("/srv/dagu/logs/etl")
    assert (imported / log.relative_to("/srv/dagu")).read_text() == "kept\n"
    refused = command("export", imported, "--place", "elsewhere")
    assert (refused.status, "--place: elsewhere is not an absolute path" in refused.err) == (1, True)
    assert command("export", imported / "dags" / "etl.yaml").status == 1


def test_a_run_that_was_executed_here_is_exported_with_its_outputs(command: Command, tmp_path: Path) -> None:
    spec = tmp_path / "mine.yaml"
    spec.write_text("params: A=1\nsteps:\n  - {name: a, command: echo $A, output: MY_OUT}\n")
    assert command("dag", "save", spec, "--name", "mine").status == 0
    assert command("run", "mine", "-r", "run-1", "--", "A=7").status == 0
    assert command("enqueue", "mine", "-r", "waiting").status == 0
    report = _export(command, tmp_path / "out", status=1)
    assert [finding["reason"] for finding in report["findings"]] == ["it is queued; export it later"]
    folder = next((tmp_path / "out").glob("data/dag-runs/mine/dag-runs/*/*/*/dag-run_*Z_run-1/attempt_*"))
    outputs, status = (json.loads((folder / name).read_text()) for name in ("outputs.json", "status.jsonl"))
    assert outputs["outputs"] == {"myOut": "7"}
    assert (status["status"], status["paramsList"], status["nodes"][0]["outputVariables"]) == (
        4,
        ["A=7"],
        {"MY_OUT": "MY_OUT=7"},
    )
    assert Path(status["nodes"][0]["stdout"]).read_text() == "7\n"
    assert "run finished" in Path(status["log"]).read_text()
    snapshot = json.loads((folder / "dag.json").read_text())
    assert (snapshot["histRetentionDays"], snapshot["params"]) == (30, ["A=7"])


def test_triggers_are_left_out_and_named(command: Command, tmp_path: Path) -> None:
    source = DaguHome(tmp_path / "old home")
    source.definition("etl")
    source.webhook("etl", BCRYPT)
    assert command("import", source.path, "--yes").status == 0
    report = _export(command, tmp_path / "exported", status=1)
    reason = "Dagu has no triggers, and a token is not stored here; make a webhook there"
    assert report["findings"] == [
        {"kind": "trigger", "name": "etl", "outcome": "left_out", "reason": reason, "file": ""}
    ]


def test_runs_are_exported_in_several_transactions(
    command: Command, imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for attribute in ("_AT_A_TIME", "_BYTES_AT_A_TIME"):
        with monkeypatch.context() as patch:
            patch.setattr(exporting, attribute, 1)
            report = _export(command, imported / attribute)
        counts = (report["runs"]["found"], report["runs"]["exported"], report["stored"]["logBytes"])
        assert counts == (4, 4, 150_016), attribute


@pytest.mark.both_engines
def test_a_full_disk_is_named_and_the_repeated_export_goes_on(
    command: Command, database_url: str, tmp_path: Path
) -> None:
    source, target = DaguHome(tmp_path / "old home"), tmp_path / "out"
    source.run("etl", "small")
    one = node("one", stdout=source.log("a.out", b"line\n" * 200_000))
    source.run("etl", "large", succeeded([one, node("two")]), at=START + timedelta(days=1))
    assert command("import", source.path, "--yes", KEEP, "--database-url", database_url).status == 0
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, usual[1]))  # to a file there is room for no more
    try:
        said = command("export", target, "--database-url", database_url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert (said.status, said.err.count("\n")) == (1, 1), said.err
    assert ".out: File too large; repeat the export then, which goes on where it ended" in said.err
    assert [path.name for path in target.glob("data/dag-runs/etl/dag-runs/*/*/*/*")] == [
        "dag-run_20310501_080000Z_small"
    ]
    report = _export(command, target, "--database-url", database_url)
    assert [report["runs"][name] for name in ("exported", "present")] == [1, 1]


@pytest.mark.both_engines
def test_both_engines_are_exported(command: Command, database_url: str, tmp_path: Path) -> None:
    source = DaguHome(tmp_path / "old home")
    _fill(source)
    assert command("import", source.path, "--yes", KEEP, "--database-url", database_url).status == 0
    report = _export(command, tmp_path / "out", "--database-url", database_url)
    assert (report["runs"]["exported"], report["stored"]["logBytes"]) == (4, 150_016)
