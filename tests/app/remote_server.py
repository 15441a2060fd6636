"""A server with users in a process of its own, for commands that work with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from dagbook.identifiers import API_PATH
from tests.conftest import ROOT
from tests.waiting import PATIENCE_SECONDS

NAME, PASSWORD = "root", "correct horse battery"


class RemoteDagbook(msgspec.Struct, frozen=True):
    """Its home and address, and an admin's token."""

    home: Path
    url: str
    token: str

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request as that admin; returns the decoded body."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        answer = httpx.request(method, f"{self.url}{API_PATH}{path}", headers=headers, timeout=30, **options)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def add_token(self, name: str, **fields: Any) -> str:
        """Create a token of that admin."""
        return str(self.request("POST", "/tokens", json={"name": name, **fields})["token"])


@contextmanager
def serving_open(home: Path, **settings: str) -> Iterator[str]:
    """Serve, for requests of this machine only, until the block is left; gives the address."""
    env = {name: text for name, text in os.environ.items() if not name.startswith("DAGBOOK_")}
    given = {"home": str(home), "default_shell": "/bin/sh", "request_log": "off", "tz": "UTC", **settings}
    env |= {f"DAGBOOK_{name.upper()}": text for name, text in given.items()} | {"PYTHONPATH": f"{ROOT}/app"}
    command = [sys.executable, "-m", "dagbook", "serve", "--port", "0"]
    with subprocess.Popen(
        command, env=env, cwd=home, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as it:
        assert it.stderr is not None
        try:
            while "Dagbook serves " not in (line := it.stderr.readline()):
                assert line, "the server ended"
            yield line.partition("Dagbook serves ")[2].split()[0]
        finally:
            it.terminate()
            it.communicate(timeout=PATIENCE_SECONDS)


@contextmanager
def serving_remote(home: Path) -> Iterator[RemoteDagbook]:
    """Serve with users until the block is left."""
    secret = "a secret of the tests that is long enough"  # noqa: S105 - of tests
    users = {"auth_admin_username": NAME, "auth_admin_password": PASSWORD, "auth_bcrypt_cost": "4"}
    with serving_open(home, auth_mode="builtin", auth_token_secret=secret, **users) as url:
        login = {"username": NAME, "password": PASSWORD}
        answer = httpx.post(f"{url}{API_PATH}/auth/login", json=login, timeout=PATIENCE_SECONDS)
        yield RemoteDagbook(home, url, answer.json()["token"])
