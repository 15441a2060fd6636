"""Two servers on one PostgreSQL database refuse together an address that guesses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.postgres import Cluster
from tests.process.program import Program
from tests.process.server import all_running

_SETTINGS = {
    "auth_mode": "builtin",
    "auth_token_secret": "a secret of the tests that is long enough",
    "auth_admin_password": "correct horse",
    "auth_bcrypt_cost": "4",
    "auth_logins_per_minute": "1000",
}


@pytest.fixture
def pair(tmp_path: Path, cluster: Cluster) -> Iterator[tuple[Program, Program]]:
    url = cluster.make_database()
    first, second = (
        Program(tmp_path / "home", url, log=tmp_path / f"{name}.log", settings=_SETTINGS)
        for name in ("first", "second")
    )
    with all_running([first, second]):
        yield first, second


def _log_in(server: Program, name: str, password: str) -> int:
    answer = server.api.client.post("/auth/login", json={"username": name, "password": password})
    return answer.status_code


def test_failed_logins_at_two_servers_count_together(pair: tuple[Program, Program]) -> None:
    statuses = [_log_in(pair[number % 2], f"user {number}", "guess") for number in range(130)]
    assert statuses == [401] * 100 + [429] * 30
    assert [_log_in(server, "admin", "correct horse") for server in pair] == [429, 429]
