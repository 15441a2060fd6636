"""compose.yaml built and started by a real Docker daemon; skipped, with the reason, where none runs."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.process.program import ROOT
from tests.process.server import Api

pytestmark = pytest.mark.timeout(900)  # the first build fetches all packages
_PASSWORD = "Correct-horse-7"  # noqa: S105 - of a server that lasts as long as the tests
_RIGHTS = """
steps:
  - name: rights
    command: |
      grep -E "^(CapEff|CapBnd|NoNewPrivs):" /proc/self/status
      touch /tmp/file "$HOME/file" && echo written
      touch /opt/file 2>/dev/null || echo "the image is read-only"
"""
_ON_A_WORKER = "workerSelector: {gpu: 'true'}\nsteps:\n  - name: where\n    command: hostname\n"


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def _works(*words: str) -> bool:
    return subprocess.run(["docker", *words], capture_output=True, check=False).returncode == 0


def _need_docker() -> None:
    if shutil.which("docker") is None or not _works("info"):
        pytest.skip("no Docker daemon answers here")
    if not _works("compose", "version"):
        pytest.skip("docker compose is not installed")
    for image in ("python:3.13-slim", "postgres:17"):
        if not _works("image", "inspect", image) and not _works("pull", image):
            pytest.skip(f"{image} cannot be pulled here; scripts/measuring/stand-in-images makes one of the same name")


class Stack:
    """The services of compose.yaml, with an image, ports and volumes of their own."""

    def __init__(self, directory: Path) -> None:
        self.image = self.project = f"dagbook-test-{secrets.token_hex(4)}"
        self._file, self._environment = directory / "compose.yaml", directory / "environment"
        self._file.write_text(yaml.safe_dump(self._own_copy()))
        names = ("POSTGRES_PASSWORD", "DAGBOOK_DATABASE_PASSWORD", "DAGBOOK_SECRET_KEY", "DAGBOOK_AUTH_TOKEN_SECRET")
        lines = [f"{name}={secrets.token_hex(32)}" for name in names]
        self._environment.write_text("\n".join([*lines, f"DAGBOOK_AUTH_ADMIN_PASSWORD={_PASSWORD}"]))

    def _own_copy(self) -> dict[str, Any]:
        copy: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
        for name in copy["services"].keys() - {"postgres"}:
            copy["services"][name]["image"] = self.image
        for name in ("server-1", "server-2"):
            copy["services"][name]["ports"] = ["127.0.0.1::8080"]
        return copy

    def compose(self, *words: str) -> str:
        options = ("--project-name", self.project, "--project-directory", str(ROOT), "--file", str(self._file))
        return _docker("compose", *options, "--env-file", str(self._environment), *words)

    def containers(self) -> dict[str, str]:
        """Return the image id of each container."""
        ids = self.compose("ps", "--all", "--quiet").split()
        return {one["Id"]: one["Image"] for one in json.loads(_docker("inspect", *ids))}

    def api(self) -> Api:
        api = Api(f"http://{self.compose('port', 'server-1', '8080').strip()}")
        answer = api.client.post("/auth/login", json={"username": "admin", "password": _PASSWORD})
        api.client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['token']}"
        return api

    def remove(self) -> None:
        self.compose("down", "--volumes", "--timeout", "1")
        subprocess.run(["docker", "image", "rm", self.image], capture_output=True, check=False)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Build and start all services, and wait until each is healthy."""
    _need_docker()
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.compose("up", "--build", "--detach", "--wait", "--wait-timeout", "600")
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    api = stack.api()
    yield api
    api.client.close()


def test_a_run_of_a_server_works_without_rights_on_a_read_only_image(api: Api) -> None:
    run_id = api.start(_RIGHTS, name="rights")
    assert api.ended(run_id, name="rights")["statusLabel"] == "succeeded"
    none = "0000000000000000"
    said = f"CapBnd:\t{none}\nCapEff:\t{none}\nNoNewPrivs:\t1\nwritten\nthe image is read-only"
    assert sorted(api.log(run_id, "rights", name="rights").split("\n")) == sorted(said.split("\n"))


def test_a_run_for_a_worker_is_driven_by_the_one_that_has_the_label(api: Api) -> None:
    run_id = api.start(_ON_A_WORKER, name="selected")
    assert api.ended(run_id, name="selected", seconds=90)["statusLabel"] == "succeeded"
    assert api.log(run_id, "where", name="selected").strip() == "worker-1"


def test_the_role_of_the_servers_is_no_superuser(stack: Stack) -> None:
    question = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'dagbook'"
    words = ("exec", "-T", "postgres", "psql", "--username", "postgres", "--no-align", "--tuples-only")
    assert stack.compose(*words, "--command", question).strip() == "f|f|f"


def test_starting_again_replaces_no_container(stack: Stack) -> None:
    before = stack.containers()
    assert len(before) == 5
    assert len(set(before.values())) == 2  # PostgreSQL's and the one that was built
    stack.compose("up", "--detach", "--wait")
    assert stack.containers() == before


def test_servers_are_told_apart_by_their_host_names(api: Api) -> None:
    coordinators = api.client.get("/services/coordinator").raise_for_status().json()["coordinators"]
    assert [(one["instanceId"], one["host"], one["port"]) for one in coordinators] == [
        ("server-1@8080", "server-1", 8080),
        ("server-2@8080", "server-2", 8080),
    ]
