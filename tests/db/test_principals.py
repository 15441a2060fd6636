"""Authors of revisions as users: what the revision of the schema makes of their names."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from dagbook.db.database import Database, WriteConnection
from dagbook.db.migrations.upgrade import downgrade, upgrade
from dagbook.db.models.definition import DagRevision
from tests.db.rows import NOW, add_dag, add_definition, add_entry, add_user, run_sql, stored

BEFORE = "0115"
EARLIER, LATER = NOW - timedelta(days=1), NOW + timedelta(days=1)
# The author of a revision that is saved NOW, and the user that it becomes.
AUTHORS: dict[str | None, str | None] = {
    "ann": "u1",
    "ann (token ci)": "u1",
    "anna": None,
    "Ann": None,
    "import (root)": None,
    "gone": "",
    "gone (token ci)": "",
    "before": None,
    "again": "",
    "root": None,
    None: None,
}


async def test_authors_become_the_users_of_their_names(database_url: str) -> None:
    await downgrade(database_url, BEFORE)
    database = await Database.open(database_url)
    await database.write(_fill)
    await database.close()
    await upgrade(database_url)
    database = await Database.open(database_url)
    columns = select(DagRevision.dag_id, DagRevision.author, DagRevision.author_id).order_by(DagRevision.dag_id)
    rows = await database.read(lambda connection: [(row[0], row[1], row[2]) for row in connection.execute(columns)])
    await database.close()
    assert {author: author_id for dag, author, author_id in rows if dag == 1} == AUTHORS
    assert [author_id for dag, _, author_id in rows if dag > 1] == [None, None]


def _fill(connection: WriteConnection) -> None:
    add_definition(connection)
    add_user(connection, created_at=EARLIER)
    add_user(connection, id="u2", username="again", created_at=LATER)
    for name, at in (("gone", LATER), ("again", LATER), ("before", EARLIER)):
        add_entry(connection, action="user.delete", kind="user", name=name, at=at)
    for number, name in enumerate(("own", "source", "commit"), 1):
        add_dag(connection, id=number, file_name=name, dag_name=name)
    authors: list[tuple[int, int, str | None, str | None]]
    authors = [*((1, number, author, None) for number, author in enumerate(AUTHORS, 1)), (2, 1, "ann", None)]
    for dag, number, author, commit in [*authors, (3, 1, "ann", "c0ffee")]:
        run_sql(
            connection,
            "INSERT INTO dag_revisions (dag_id, number, definition_hash, author, source_commit, saved_at) "
            "VALUES (:dag, :number, :hash, :author, :commit, :at)",
            dag=dag,
            number=number,
            hash="a" * 64,
            author=author,
            commit=commit,
            at=stored(connection, NOW),
        )
    at = stored(connection, NOW)
    run_sql(
        connection,
        "INSERT INTO sources (id, name, kind, place, path, writable, adopt, configured, created_at) "
        "VALUES (1, 'files', 'directory', '/dags', '', :no, :no, :no, :at)",
        no=False,
        at=at,
    )
    run_sql(
        connection,
        "INSERT INTO source_files (source_id, path, dag_id, content, changed_at, resumes) "
        "VALUES (1, 'source.yaml', 2, '', :at, :no)",
        no=False,
        at=at,
    )
