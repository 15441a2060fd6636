"""All four kinds of requests that the server sends by itself respect ``egress_deny``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dagbook.accounts.auth_setup import find_provider
from dagbook.settings import SettingsError, read
from tests.app.dagbook import Dagbook, client_of, serving
from tests.executors.web import Web, plain

METADATA = "http://169.254.169.254/latest/meta-data/iam"


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    server = Web()
    await server.start()
    server.answers |= {"/": plain(200, "{}"), "/schema": plain(200, "{}")}
    yield server
    await server.stop()


@pytest.fixture
async def dagbook(database_url: str, tmp_path: Path, name: str, web: Web) -> AsyncIterator[Dagbook]:
    """A server that may send no requests to this machine, besides the metadata addresses."""
    nodes = json.dumps([{"name": "east", "url": f"{web.url}/api/v2"}])
    (tmp_path / "dagbook.yaml").write_text(f"remote_nodes: {nodes}\negress_deny: [metadata, 127.0.0.0/8]\n")
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        yield Dagbook(client, name)


@pytest.mark.parametrize("target", ["local", METADATA])
async def test_an_http_step_does_not_reach_a_denied_address(dagbook: Dagbook, web: Web, target: str) -> None:
    url = web.url if target == "local" else target
    ended = await dagbook.run(f"steps: [{{executor: http, command: GET {url}}}]")
    assert ended.statuses == ["failed"]
    assert "setting egress_deny" in str(ended.details["nodes"][0]["error"])
    assert web.asked == []


@pytest.mark.parametrize("target", ["local", METADATA])
async def test_a_schema_is_not_fetched_from_a_denied_address(dagbook: Dagbook, web: Web, target: str) -> None:
    url = f"{web.url}/schema" if target == "local" else target
    spec = f"params: {{schema: '{url}', values: {{A: 1}}}}\nsteps: [{{command: 'true'}}]"
    ended = await dagbook.run(spec)
    log = await dagbook.client.get(f"{ended.path}/log")
    assert "setting egress_deny" in log.json()["content"]
    assert web.asked == []


async def test_a_remote_node_is_not_reached_at_a_denied_address(dagbook: Dagbook, web: Web) -> None:
    answer = await dagbook.client.get("/dags?remoteNode=east")
    assert answer.status_code == 502
    assert "setting egress_deny" in answer.json()["message"]
    assert web.asked == []


async def test_a_provider_at_a_denied_address_stops_the_start(web: Web, tmp_path: Path) -> None:
    settings = {
        "auth_mode": "oidc",
        "auth_oidc_issuer": web.url,
        "auth_oidc_client_id": "dagbook",
        "auth_oidc_client_url": "http://127.0.0.1:8080",
        "egress_deny": "127.0.0.1",
    }
    secret = {"DAGBOOK_AUTH_OIDC_CLIENT_SECRET": "of the client"}
    with pytest.raises(SettingsError, match=r"setting egress_deny"):
        await find_provider(read(settings, secret, tmp_path))
    assert web.asked == []
