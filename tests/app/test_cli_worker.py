"""``dagbook worker``: what it needs, said in sentences. Workers that work are in tests/process/test_workers.py."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator

import pytest

from dagbook import cli
from tests.conftest import PostgresCopies

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DAGBOOK_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("DAGBOOK_DATABASE_URL", UNREACHABLE)


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.execute(["worker", *words]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--label", "gpu"], "Error: --label: 'gpu' is not a label; write it as NAME=VALUE, for example gpu=true\n"),
        (["--label", "=1"], "Error: --label: '=1' is not a label; write it as NAME=VALUE, for example gpu=true\n"),
        (["-l", "a=1", "-l", "a=2"], "Error: --label: a is given as '1' and as '2'; choose one\n"),
        (["--id", "x" * 101], "Error: --id: give at most 100 printable characters\n"),
    ],
)
def test_what_is_no_label_or_name_is_named(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert _said(capsys, *words) == said


def test_a_file_has_no_workers(capsys: pytest.CaptureFixture[str]) -> None:
    said = _said(capsys, "--database-url", "sqlite:////tmp/none.sqlite3", "--label", "a=1,b=2")
    assert said.startswith("Error: a worker shares a PostgreSQL database with servers")


def test_without_the_extra_its_name_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Uninstalling the library would take it from everybody else's tests.
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "dagbook.queues.worker.transport.find_spec", lambda name: None if name == "pgqueuer" else find(name)
    )
    assert _said(capsys) == "Error: a worker needs PgQueuer; pip install 'dagbook[distributed]'\n"


def test_a_database_that_cannot_be_reached_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(capsys) == "Error: the database is unavailable: PostgreSQL cannot be reached\n"


@pytest.fixture
async def bare_url(postgres_url: str) -> AsyncIterator[str]:
    async for address in PostgresCopies(postgres_url).empty():
        yield address


def test_a_database_of_another_version_is_left_to_a_server(capsys: pytest.CaptureFixture[str], bare_url: str) -> None:
    assert "is at revision none" in _said(capsys, "--database-url", bare_url)


def test_what_was_to_configure_a_worker_of_dagu_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGU_WORKER_LABELS", "gpu=true")
    told = "Notice: DAGU_WORKER_LABELS is set: Dagbook's is the option --label of dagbook worker"
    assert _said(capsys).splitlines()[0].startswith(told)
