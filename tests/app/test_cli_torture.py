"""``dagbook torture``: where it refuses to begin, and what it prints; kills are in tests/process/test_torture.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from sqlalchemy import text

from app import cli
from app.torture.place import own_ground
from app.torture.trial import TortureError
from tests.process import store

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.execute(["torture", *words]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--database", "postgresql"], "--database postgresql needs --database-url postgresql://"),
        (["--servers", "2"], "needs --database-url postgresql://"),
        (["--workers", "1"], "needs --database-url postgresql://"),
        (["--failovers", "1"], "needs --database-url postgresql://"),
        (["--detections", "1"], "needs --database-url postgresql://"),
        (["--sleeps", "1"], "needs --database-url postgresql://"),
        (["--database-url", "sqlite:////tmp/mine.sqlite3"], "--database-url is for PostgreSQL"),
        (["--database-url", "mysql://a/b"], "--database-url: 'mysql' is no database that Dagbook knows"),
        (["--database", "sqlite", "--database-url", UNREACHABLE], "leave out --database-url"),
        (
            ["--schedules", "1", "--sleeps", "1"],
            "choose one of --schedules, --failovers, --detections, --sleeps and",
        ),
        (["--kills", "0"], "Invalid value for '--kills'"),
        (["--database-url", UNREACHABLE], "PostgreSQL cannot be reached"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_begun_is_said(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert said in _said(capsys, *words)


def test_workers_need_their_extra(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Uninstalling the library would take it from everybody else's tests.
    find = importlib.util.find_spec
    monkeypatch.setattr("app.queue.remote.find_spec", lambda name: None if name == "pgqueuer" else find(name))
    assert "pip install 'dagbook[distributed]'" in _said(capsys, "--workers", "1", "--database-url", UNREACHABLE)


def test_the_database_of_the_settings_is_not_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGBOOK_DATABASE_URL", UNREACHABLE)
    assert "needs --database-url" in _said(capsys, "--servers", "2")


def test_schedules_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["torture", "--schedules", "20", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    assert "20 schedules, seed 7" in printed
    assert "schedules around changes of clocks: 20\n  clocks that jumped: 2\n" in printed
    assert "violations: 0\n" in printed


def test_violations_are_printed_and_told_by_the_exit_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.torture.schedules.due", lambda *_: [])
    assert cli.execute(["torture", "--schedules", "40", "--seed", "7"]) == 1
    assert "due at no time and not at " in capsys.readouterr().out


# -- whose database ----------------------------------------------------------------------------------------------------


def test_a_torture_has_a_database_of_its_own_that_is_gone_afterwards(postgres_url: str) -> None:
    def databases() -> set[str]:
        return {row.datname for row in store.query(postgres_url, "SELECT datname FROM pg_database")}

    with own_ground(postgres_url) as ground:
        name = ground.url.rpartition("/")[2]
        assert (ground.url != postgres_url, name in databases()) == (True, True)
        (ground.directory / "file").touch()
    assert (name in databases(), ground.directory.exists()) == (False, False)


def test_a_user_who_may_make_no_database_is_told_so(postgres_url: str) -> None:
    store.write(
        postgres_url, lambda connection: connection.execute(text("CREATE ROLE torture_guest LOGIN PASSWORD 'x'"))
    )
    guest = postgres_url.replace(postgres_url.partition("//")[2].partition("@")[0], "torture_guest:x")
    try:
        with pytest.raises(TortureError, match="ALTER ROLE torture_guest CREATEDB"), own_ground(guest):
            pass
    finally:
        store.write(postgres_url, lambda connection: connection.execute(text("DROP ROLE torture_guest")))


def test_what_is_kept_lies_where_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with own_ground("", keep=True) as ground:
        pass
    assert (ground.url, ground.directory.parent, ground.directory.exists()) == ("", tmp_path, True)
