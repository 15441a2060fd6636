"""SQL in every filter, sort, search and tag field: it is a text like any other (promises S6).

That no statement is built from texts is held by the linter (S608).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product

import pytest
from sqlalchemy import func, select

from dagbook.db.types import Base
from dagbook.main import Server
from tests.app.attack import QUERY, SPEC, Attacker, fields
from tests.app.dagbook import client_of, serving
from tests.conftest import Copies
from tests.selection import Share
from tests.waiting import wait_until

pytestmark = pytest.mark.always

_BEFORE = ["", "x", "quick", "%"]
_QUOTES = ["'", '"', "`", "\\'", "')", "'))", "", "\u02bc"]
_SQL = [
    " OR 1=1", " OR 'a'='a", " AND 1=2 UNION SELECT name FROM dags", "; DROP TABLE runs", "||pg_sleep(5)||",
    " OR SLEEP(5)", "; DELETE FROM users WHERE 1=1", " UNION ALL SELECT NULL,NULL", "; SELECT load_extension('x')",
    " OR EXISTS(SELECT 1 FROM sqlite_master)",
]  # fmt: skip
_AFTER = ["--", "/*"]
_ODD = [
    "'", "''", '"', "\\", "%", "_", "%%", "a%' ESCAPE '!", "$$", "?", ":x", "$1", "%(x)s", "{}", "(SELECT 1)",
    "random()", "CASE WHEN 1=1 THEN name END",
    "name; DROP TABLE dags", "name DESC, (SELECT 1)", "name COLLATE x", "1/0",
    "\uff07 OR 1=1",
]  # fmt: skip
PAYLOADS = [*("".join(parts) for parts in list(product(_BEFORE, _QUOTES, _SQL, _AFTER))[::2]), *_ODD]
LISTS = ["/dags", "/dags/search", "/dag-runs", "/dag-runs/{name}", "/search", "/search/texts"]
NARROWING = {("/dags", "name"), ("/dags", "tag"), ("/dag-runs", "name"), ("/dag-runs", "dagRunId")}


@pytest.fixture(scope="module")
async def attacker(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Server, Attacker]]:
    async for url in copies.copy():
        async with serving(url, tmp_path_factory.mktemp("home")) as server:
            opened = Attacker(server, "", {})
            await opened.send("POST", "/dags", {"name": "quick", "spec": "tags: [nightly]\n" + SPEC})
            await opened.send("POST", "/dags/quick/start", {"dagRunId": "seeded"})
            yield server, opened


async def counts(server: Server) -> dict[str, int]:
    # Heartbeats and the sealing of the audit go on by themselves.
    tables = [table for name, table in Base.metadata.tables.items() if name not in ("services", "audit_seals")]
    statements = {table.name: select(func.count()).select_from(table) for table in tables}
    return await server.services.runs.database.read(
        lambda connection: {name: connection.scalar(statement) or 0 for name, statement in statements.items()}
    )


@pytest.mark.timeout(300)  # thousands of requests, and the machine may be busy
async def test_sql_in_a_query_finds_breaks_and_changes_nothing(attacker: tuple[Server, Attacker], share: Share) -> None:
    server, sent = attacker
    async with client_of(server) as client:
        document = (await client.get("/openapi.json")).json()

        async def ended() -> bool:
            return bool((await client.get("/dags/quick/dag-runs/seeded")).json()["dagRun"]["finishedAt"])

        await wait_until(ended)
    before, found = await counts(server), []
    chosen = [field for field in fields(server, document) if field.where == QUERY and not field.is_number]
    for field in chosen:
        path = field.route.partition("/api/v2")[2]
        if path not in LISTS or field.name == "remoteNode":
            continue
        for payload in share.of(PAYLOADS):
            answer = await sent.try_field(field, payload)
            listed = b'"fileName"' in answer.content or b'"seeded"' in answer.content
            if answer.status >= 500 or (listed and (path, field.name) in NARROWING):
                found.append((path, field.name, payload, answer.status))
    assert (found, await counts(server)) == ([], before)
    assert len(PAYLOADS) >= 300
