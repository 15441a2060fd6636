"""compose.yaml and Dockerfile as texts; tests/process/test_compose.py starts them where a Docker daemon runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from dagbook.cli.server.serve import serve
from dagbook.cli.server.worker import worker
from dagbook.settings.definitions import TABLE

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COMMANDS = {"serve": serve, "worker": worker}
OURS = sorted(SERVICES.keys() - {"postgres"})


def test_there_are_a_database_two_servers_and_two_workers() -> None:
    kinds = [SERVICES[name]["command"][0] for name in OURS]
    assert kinds == ["serve", "serve", "worker", "worker"]
    assert SERVICES["postgres"]["image"] == "postgres:17"


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_told_settings_that_there_are(name: str) -> None:
    known = {setting.variable for setting in TABLE}
    assert SERVICES[name]["environment"].keys() <= known


@pytest.mark.parametrize("name", OURS)
def test_the_command_line_of_a_service_is_understood(name: str) -> None:
    word, *words = SERVICES[name]["command"]
    context: click.Context = COMMANDS[word].make_context(word, words)
    assert context.args == []


def test_one_service_builds_the_image_that_all_of_them_use() -> None:
    assert [name for name in SERVICES if "build" in SERVICES[name]] == ["server-1"]
    assert {SERVICES[name]["image"] for name in OURS} == {"${DAGBOOK_IMAGE:-dagbook}"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True


def test_workers_are_asked_for_their_health_by_a_command_that_there_is() -> None:
    for name in ("worker-1", "worker-2"):
        kind, program, word, *words = SERVICES[name]["healthcheck"]["test"]
        assert (kind, program, word) == ("CMD", "dagbook", "worker")
        assert worker.make_context(word, words).params["asks_health"]


def test_the_image_is_told_settings_that_there_are() -> None:
    (line,) = re.findall(r"^ENV (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    known = {setting.variable for setting in TABLE}
    assert {word.partition("=")[0] for word in line.split()} <= known


@pytest.mark.parametrize("name", OURS)
def test_a_service_keeps_its_home_in_a_volume_of_its_own(name: str) -> None:
    home = re.search(r"^ENV DAGBOOK_HOME=(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert home is not None
    assert SERVICES[name]["volumes"] == [f"{name}:{home[1]}"]
    assert SERVICES[name]["hostname"] == name
    assert name in COMPOSE["volumes"]


def test_all_processes_share_the_database_and_the_key() -> None:
    for setting in ("DAGBOOK_DATABASE_URL", "DAGBOOK_SECRET_KEY", "DAGBOOK_QUEUES"):
        assert len({SERVICES[name]["environment"][setting] for name in OURS}) == 1


def test_what_the_image_copies_is_there_and_sent_to_docker() -> None:
    copies = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    sources = {source for line in copies for source in line.split()}
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {source for source in sources if not (ROOT / source).exists()} == set()
    assert {f"!{source}" for source in sources} <= set(sent)
