"""The tables of failed logins of an earlier version, which are not used any more."""

from __future__ import annotations

from sqlalchemy import insert, select, union_all

from dagbook.db.database import Database, WriteConnection
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import downgrade, upgrade
from dagbook.db.models import LoginAddress, LoginFailure
from dagbook.db.repositories.accounts import users
from tests.db.rows import NOW, add_user


async def test_the_tables_come_and_go_with_their_revision(database_url: str, database: Database) -> None:
    def fill(connection: WriteConnection) -> None:
        user_id = add_user(connection)
        connection.execute(insert(LoginFailure).values(key="x" * 64, count=1, last_at=NOW, expires_at=NOW))
        connection.execute(insert(LoginAddress).values(user_id=user_id, network="192.0.2.1", last_login_at=NOW))

    await database.write(fill)
    await downgrade(database_url, "0100")
    assert await database.read(users.count) == 1
    await upgrade(database_url)
    assert await check(database_url) == []
    rows = union_all(select(LoginFailure.key), select(LoginAddress.network))
    assert await database.read(lambda connection: connection.execute(rows).all()) == []
