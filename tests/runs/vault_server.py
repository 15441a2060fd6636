"""A web server that answers as Vault does: logins, KV in both versions, errors; it notes what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any
from urllib.parse import unquote

from tests.executors.web import Asked, Web, plain

ROOT = "hvs.topsecrettoken"
ROLE_ID, SECRET_ID, JWT = "the-role", "topsecretid", "topsecretjwt"
V1, V2 = "old/prod/db", "kv/data/prod/db"


class VaultServer(Web):
    """``versions`` are the data of ``kv/data/prod/db``, from version 1 on; ``old/prod/db`` has no versions."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[dict[str, Any]] = [{"password": "v2-first"}, {"password": "v2-second", "port": 5432}]
        self.tokens = {ROOT}
        self.lease = 3600
        self.logins = 0
        self.failures: list[int] = []  # statuses of the next answers, in place of what belongs there
        self.now = self.most = 0
        self.pause = 0.0
        self.seen: Counter[str] = Counter()
        paths = (V1, V2, "auth/approle/login", "auth/kubernetes/login", "auth/token/lookup-self")
        self.answers = {f"/v1/{path}": self._reply for path in paths}

    async def _reply(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = self.asked[-1]  # without a wait since it was noted
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.pause)
        writer.write(self._answer(asked))
        await writer.drain()
        self.now -= 1

    def _answer(self, asked: Asked) -> bytes:
        if self.failures:
            return plain(self.failures.pop(0), json.dumps({"errors": ["Vault is sealed"]}))
        path, _, query = unquote(asked.target).removeprefix("/v1/").partition("?")
        if path.endswith("/login"):
            return self._log_in(path, json.loads(asked.body))
        return self._read(path, query, asked)

    def _read(self, path: str, query: str, asked: Asked) -> bytes:
        if asked.headers.get("x-vault-token") not in self.tokens:
            said = f"permission denied for {asked.headers.get('x-vault-token')}"
            return plain(403, json.dumps({"errors": [said]}))
        self.seen[path] += 1
        if path == V1:
            return plain(200, json.dumps({"data": {"password": "v1-value"}, "lease_duration": 2764800}))
        if path == V2:
            number = int(query.removeprefix("version=") or len(self.versions))
            if number > len(self.versions):
                return plain(404, json.dumps({"errors": []}))
            data = {"data": self.versions[number - 1], "metadata": {"version": number, "destroyed": False}}
            return plain(200, json.dumps({"data": data}))
        return plain(200, json.dumps({"data": {"id": asked.headers["x-vault-token"]}}))

    def _log_in(self, path: str, given: dict[str, str]) -> bytes:
        wanted = {"role_id": ROLE_ID, "secret_id": SECRET_ID} if "approle" in path else {"role": "dags", "jwt": JWT}
        if given != wanted:
            return plain(400, json.dumps({"errors": [f"invalid credentials {json.dumps(given)}"]}))
        self.logins += 1
        token = f"hvs.topsecretlogin{self.logins}"
        self.tokens.add(token)
        return plain(200, json.dumps({"auth": {"client_token": token, "lease_duration": self.lease}}))
