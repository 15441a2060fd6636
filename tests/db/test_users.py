"""What must hold about users when several ask at once, on both engines."""

from __future__ import annotations

import asyncio

import pytest

from dagbook.accounts.users import UserChanges, Users
from dagbook.auth.audit_context import Caller
from dagbook.auth.passwords import Hasher
from dagbook.auth.roles import Role
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.repositories.accounts import users
from dagbook.errors import AlreadyExistsError, ForbiddenError

ROOT = Caller(via="local", name="root", role=Role.ADMIN)


@pytest.fixture
def people(database: Database) -> Users:
    return Users(database, Hasher(4), now)


async def names(database: Database, role: Role) -> list[str]:
    rows = await database.read(users.find)
    return [row.username for row in rows if row.role == role]


async def test_two_admins_who_demote_each_other_at_once_leave_one(people: Users, database: Database) -> None:
    ann, bob = [await people.create(name, "correct horse", Role.ADMIN, ROOT) for name in ("ann", "bob")]
    for _ in range(10):
        demoted = await asyncio.gather(
            *(people.update(user.id, UserChanges(role=Role.VIEWER), ROOT) for user in (ann, bob)),
            return_exceptions=True,
        )
        assert [type(result) for result in demoted if isinstance(result, Exception)] == [ForbiddenError]
        assert len(await names(database, Role.ADMIN)) == 1
        await asyncio.gather(*(people.update(user.id, UserChanges(role=Role.ADMIN), ROOT) for user in (ann, bob)))


async def test_two_admins_who_are_removed_at_once_leave_one(people: Users, database: Database) -> None:
    rows = [await people.create(name, "correct horse", Role.ADMIN, ROOT) for name in ("ann", "bob", "cy")]
    removed = await asyncio.gather(*(people.remove(row.id, ROOT) for row in rows), return_exceptions=True)
    assert [type(result) for result in removed if result is not None] == [ForbiddenError]
    assert len(await names(database, Role.ADMIN)) == 1


async def test_of_several_first_admins_at_once_one_is_made(
    database_url: str, people: Users, database: Database
) -> None:
    other = await Database.open(database_url)
    made = await asyncio.gather(
        *(
            each.create_first_admin(name, "")
            for name in ("ann", "bob")
            for each in (people, Users(other, Hasher(4), now))
        )
    )
    await other.close()
    assert len([password for password in made if password]) == 1
    assert len(await names(database, Role.ADMIN)) == 1


async def test_one_name_asked_for_at_once_is_given_once(people: Users) -> None:
    wanted = (people.create("ann", "correct horse", Role.VIEWER, ROOT) for _ in range(5))
    results = await asyncio.gather(*wanted, return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, Exception)] == [AlreadyExistsError] * 4


async def test_with_users_there_is_no_first_admin_to_make(people: Users) -> None:
    await people.create("ann", "correct horse", Role.VIEWER, ROOT)
    assert await people.create_first_admin("admin", "correct horse") is None
