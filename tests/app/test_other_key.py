"""Who has another secret_key than the database's runs is told so in one line; tests/process has servers and workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagbook.db.database import Database
from dagbook.runs.secrets.encryption import Encrypter, warn_of_other_keys
from tests.app.dagbook import Dagbook, client_of, serving

KEY, OTHER_KEY = "k" * 32, "o" * 32
SECRETS = "secrets: [{name: SEC, provider: file, key: FILE}]\n"
STEPS = "steps: [{name: a, command: 'true'}]\n"


async def _serve_run(url: str, home: Path, spec: str, **settings: str) -> None:
    """Let a server drive a run to its end, and seal the audit as it stops."""
    (home / "secret").write_text("hunter2")
    async with serving(url, home, **settings) as server, client_of(server) as client:
        ended = await Dagbook(client, "any").run(spec.replace("FILE", str(home / "secret")))
    assert ended.status == "succeeded"


async def _told(url: str, encrypter: Encrypter, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    database = await Database.open(url)
    await warn_of_other_keys(database, encrypter)
    await database.close()
    return [one.getMessage() for one in caplog.records if one.name == "dagbook.runs.secrets.encryption"]


async def test_another_key_is_told_in_a_line_and_the_same_is_not(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert await _told(database_url, Encrypter(OTHER_KEY, tmp_path), caplog) == []  # nothing is encrypted yet
    await _serve_run(database_url, tmp_path, SECRETS + STEPS, secret_key=KEY)
    assert await _told(database_url, Encrypter(KEY, tmp_path), caplog) == []
    (said,) = await _told(database_url, Encrypter(OTHER_KEY, tmp_path), caplog)
    assert said.startswith("secrets of runs, or the audit, were encrypted with another secret_key than this process")
    assert said.endswith("the same DAGBOOK_SECRET_KEY, the one that was used then")
    assert "\n" not in said
    assert KEY not in said
    assert OTHER_KEY not in said


async def test_a_key_file_that_is_missing_is_told_and_not_made(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await _serve_run(database_url, tmp_path, SECRETS + STEPS)
    home = tmp_path / "elsewhere"
    (said,) = await _told(database_url, Encrypter("", home), caplog)
    assert f"neither DAGBOOK_SECRET_KEY nor {home}/secret.key has a key" in said
    assert not home.exists()
    home.mkdir()
    (home / "secret.key").write_text("short")
    (said,) = await _told(database_url, Encrypter("", home), caplog)
    assert "contains no key" in said


async def test_the_key_of_the_audit_counts_where_no_run_has_secrets(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await _serve_run(database_url, tmp_path, STEPS, secret_key=KEY)
    assert await _told(database_url, Encrypter(KEY, tmp_path), caplog) == []
    assert len(await _told(database_url, Encrypter(OTHER_KEY, tmp_path), caplog)) == 1
