"""A server with users, and clients that are somebody."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from dagbook.accounts.sessions import Origin
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Role
from dagbook.main import Server
from tests.app.dagbook import client_of, serving

SECRET = "a secret of the tests that is long enough"  # noqa: S105 - of tests
PASSWORD = "correct horse"  # noqa: S105 - of tests
ROOT = Caller(via="local", name="root", role=Role.ADMIN)


Credential = str | Mapping[str, str]  # a bearer token, or headers


class People:
    """The users of a server, made when they are wanted."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @asynccontextmanager
    async def client(self, credential: Credential | None = None) -> AsyncIterator[httpx.AsyncClient]:
        async with client_of(self.server) as client:
            if isinstance(credential, str):
                client.headers["Authorization"] = f"Bearer {credential}"
            elif credential is not None:
                client.headers.update(credential)
            yield client

    async def browse(self, name: str, password: str = PASSWORD) -> dict[str, str]:
        """Log in as a browser does; returns what its requests send, also those of changes."""
        async with self.client() as client:
            answer = await client.post("/auth/session", json={"username": name, "password": password})
        assert answer.status_code == 201, answer.text
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return {"Cookie": cookie, "X-CSRF-Token": answer.json()["csrfToken"]}

    async def add(self, role: Role | str, name: str = "", password: str = PASSWORD) -> Person:
        name = name or f"{role}-{secrets.token_hex(4)}"
        row = await self.server.services.accounts.auth.users.create(name, password, Role(role), ROOT)
        return Person(row.id, name, await self.login(name, password))

    async def login(self, name: str, password: str = PASSWORD) -> str:
        origin = Origin(address=f"192.0.2.{secrets.randbelow(255)}")
        return (await self.server.services.accounts.auth.logins.login(name, password, origin)).token


class Person(msgspec.Struct, frozen=True):
    """A user and the token of its login."""

    id: str
    name: str
    token: str


@asynccontextmanager
async def serving_people(url: str, home: Path, **settings: str) -> AsyncIterator[People]:
    """Open a server with users; hashing takes no time there."""
    fast = {"auth_bcrypt_cost": "4", "auth_logins_per_minute": "100000"}
    async with serving(url, home, auth_mode="builtin", auth_token_secret=SECRET, **{**fast, **settings}) as server:
        yield People(server)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of an error, whose body has to be complete."""
    body: dict[str, Any] = answer.json()
    assert body["message"], answer.text
    return answer.status_code, body["code"]
