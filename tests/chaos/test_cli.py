"""``scripts/chaos``: which options it refuses, what it prints, and that it removes its folder and its database."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from tests.chaos.cli import chaos
from tests.chaos.experiment import ExperimentError
from tests.chaos.sandbox import make_sandbox
from tests.process import store

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


def error_of(*words: str) -> str:
    result = CliRunner().invoke(chaos, words)
    assert result.exit_code in {1, 2}
    assert isinstance(result.exception, SystemExit)
    return result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["kill", "--database", "sqlite", "--servers", "2"], "several servers or workers need --database postgresql"),
        (["kill", "--database", "sqlite", "--workers", "1"], "several servers or workers need --database postgresql"),
        (["kill", "--database", "sqlite", "--database-url", UNREACHABLE], "omit --database-url"),
        (["kill", "--servers", "2", "--keep"], "--keep needs --database-url"),
        (["kill", "--kills", "0"], "Invalid value for '--kills'"),
        (["kill", "--database-url", UNREACHABLE], "PostgreSQL cannot be reached"),
        (["outage", "--database-url", UNREACHABLE], "stops its PostgreSQL server; omit --database-url"),
        (["power-loss", "--database-url", UNREACHABLE], "stops its PostgreSQL server; omit --database-url"),
        (["history", "--database", "sqlite", "--servers", "2"], "several servers need --database postgresql"),
        (["detection", "--servers", "1"], "Invalid value for '--servers'"),
        (["pause", "--database-url", "sqlite:////tmp/mine.sqlite3"], "this option is for PostgreSQL"),
        (["triggers", "FB2", "--database", "sqlite"], "FB2 needs --database postgresql"),
        (["failover", "--database-url", "mysql://a/b"], "'mysql' is not a supported database"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_options_that_do_not_fit_are_refused(words: list[str], message: str) -> None:
    assert message in " ".join(error_of(*words).split())


def test_workers_need_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    # Uninstalling the library would take it from everybody else's tests.
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "dagbook.queues.worker.transport.find_spec", lambda name: None if name == "pgqueuer" else find(name)
    )
    assert "pip install 'dagbook[distributed]'" in error_of("kill", "--workers", "1", "--database-url", UNREACHABLE)


def test_figures_are_printed() -> None:
    result = CliRunner().invoke(chaos, ["schedules", "--cases", "20", "--seed", "7"])
    assert result.exit_code == 0
    assert "schedules, 20 cases, seed 7" in result.stdout
    assert "schedules around clock changes: 20\n  clocks that jumped: 2\n" in result.stdout
    assert "violations: 0\n" in result.stdout


def test_violations_are_printed_and_set_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.schedules.due", lambda *_: [])
    result = CliRunner().invoke(chaos, ["schedules", "--cases", "40", "--seed", "7"])
    assert result.exit_code == 1
    assert "due at no time and not at " in result.stdout


# -- the sandbox -------------------------------------------------------------------------------------------------------


def test_a_sandbox_has_a_database_of_its_own_and_is_removed(postgres_url: str) -> None:
    def databases() -> set[str]:
        return {row.datname for row in store.query(postgres_url, "SELECT datname FROM pg_database")}

    with make_sandbox(postgres_url) as sandbox:
        name = sandbox.url.rpartition("/")[2]
        assert (sandbox.url != postgres_url, name in databases()) == (True, True)
        (sandbox.directory / "file").touch()
    assert (name in databases(), sandbox.directory.exists()) == (False, False)


def test_the_right_that_a_user_lacks_is_named(postgres_url: str) -> None:
    store.write(postgres_url, lambda connection: connection.execute(text("CREATE ROLE chaos_guest LOGIN PASSWORD 'x'")))
    guest = postgres_url.replace(postgres_url.partition("//")[2].partition("@")[0], "chaos_guest:x")
    try:
        with pytest.raises(ExperimentError, match="ALTER ROLE chaos_guest CREATEDB"), make_sandbox(guest):
            pass
    finally:
        store.write(postgres_url, lambda connection: connection.execute(text("DROP ROLE chaos_guest")))


def test_a_kept_sandbox_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with make_sandbox(keep=True) as sandbox:
        pass
    assert (sandbox.url, sandbox.directory.parent, sandbox.directory.exists()) == ("", tmp_path, True)
