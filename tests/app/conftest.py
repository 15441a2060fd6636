"""A whole application in the test's own loop, one for each database engine."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest

from app.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.conftest import Copies


@pytest.fixture(scope="session")
async def server(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for all tests that use a name of their own."""
    async for url in copies.copy():
        async with serving(url, tmp_path_factory.mktemp("home")) as opened:
            yield opened


@pytest.fixture(scope="session")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(server) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A DAG name that no other test uses."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def dagbook(client: httpx.AsyncClient, name: str) -> Dagbook:
    return Dagbook(client, name)
