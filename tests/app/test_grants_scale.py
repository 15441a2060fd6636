"""What 1,000 grants and 10,000 DAGs cost: a fixed number of statements for each request, whatever it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import httpx
import msgspec
import pytest
from sqlalchemy import insert

from dagbook.accounts.users import UserChanges
from dagbook.auth.roles import Role, UserScope
from dagbook.clock import now
from dagbook.db.database import WriteConnection
from dagbook.db.models import Dag, DagAccess, Definition, Grant
from dagbook.db.repositories.definitions import DefinitionRow
from tests.app.people import ROOT, People, serving_people
from tests.app.test_statements import recorded
from tests.conftest import Copies

DAGS, GRANTS = 10_000, 1_000
TEXT = "steps:\n  - echo one\n"


def add_dags(connection: WriteConnection) -> None:
    definition = DefinitionRow.of(TEXT, "", now())
    connection.execute(insert(Definition).values(**msgspec.structs.asdict(definition)))
    row = {"definition_hash": definition.hash, "revision": 1, "suspended": False, "tags": ["all"]}
    names = [f"dag-{number:05}" for number in range(DAGS)]
    times = {"created_at": now(), "updated_at": now()}
    connection.execute(insert(Dag), [{"file_name": name, "dag_name": name, **row, **times} for name in names])


def add_grants(connection: WriteConnection, user_id: str) -> None:
    """Grant every tenth DAG, each by a grant of its own, with what is derived from them, which would take a while."""
    subject = f"user:{user_id}"
    common = {"subject": subject, "user_id": user_id, "role": "operator", "created_at": now()}
    rows = [{"id": f"{user_id}-{n}", "pattern": f"*-{n:04}5", **common} for n in range(GRANTS)]
    connection.execute(insert(Grant), rows)
    names = [f"dag-{n:04}5" for n in range(GRANTS)]
    connection.execute(insert(DagAccess), [{"dag_name": name, "subject": subject, "rank": 1} for name in names])


@pytest.fixture(scope="module")
async def large(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[People, str]]:
    """A server with DAGs, and the token of a user with grants for them."""
    async for url in copies.copy():
        async with serving_people(url, tmp_path_factory.mktemp("home")) as people:
            person = await people.add(Role.VIEWER)
            services = people.server.services
            await services.accounts.auth.users.update(person.id, UserChanges(scope=UserScope.GRANTED), ROOT)
            await services.runs.database.write(add_dags)
            await services.runs.database.write(partial(add_grants, user_id=person.id))
            yield people, person.token


@pytest.fixture
async def client(large: tuple[People, str]) -> AsyncIterator[httpx.AsyncClient]:
    people, token = large
    async with people.client(token) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "most"),
    [  # two of them say who asks, and where a DAG is named one more finds the role; in lists one says it of each DAG
        ("/dags?perPage=5", 6),
        ("/dags?perPage=1000", 6),
        ("/dags?perPage=50&tag=all", 6),
        ("/dags/tags", 3),
        ("/dags/search?q=nothing-has-this", 3),
        ("/search?q=dag-0", 10),
        ("/dags/dag-00015", 5),
        ("/dag-runs", 4),
        ("/dag-runs?limit=50", 5),  # first among the newest, which do not fill the page here
        ("/dag-runs/dag-00015", 4),
        ("/queues", 6),
        ("/schedules/slots", 5),
    ],
)
async def test_a_request_costs_few_statements_however_many_grants_there_are(
    client: httpx.AsyncClient, path: str, most: int
) -> None:
    await client.get(path)  # parses definitions, and notes the use of the session
    with recorded() as statements:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    assert len(statements) <= most, "\n\n".join(statements)


async def test_a_list_counts_what_is_granted(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/dags", params={"perPage": 3, "page": 2})).json()
    assert answer["pagination"]["totalRecords"] == GRANTS
    assert [dag["fileName"] for dag in answer["dags"]] == ["dag-00035", "dag-00045", "dag-00055"]
