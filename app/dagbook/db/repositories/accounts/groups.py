"""Groups of users, their members, and the grants of users, groups and tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, ScalarSelect, delete, func, insert, literal, select, update
from sqlalchemy.orm import InstrumentedAttribute

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.user import Grant, Group, GroupMember, Token, User
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.statements import all_rows, columns, first_row

_members = select(func.count()).where(GroupMember.group_id == Group.id).correlate(Group).scalar_subquery()
_find_groups = select(*Group.__table__.columns, _members.label("members"))
_find_grants = (
    select(*Grant.__table__.columns, User.username, Group.name.label("group_name"))
    .outerjoin(User, User.id == Grant.user_id)
    .outerjoin(Group, Group.id == Grant.group_id)
)
_in_order = (Group.name, User.username, Grant.pattern, Grant.tag, Grant.id)


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """A group with the number of its members."""

    id: str
    name: str
    claim: str | None
    created_at: datetime
    members: int = 0


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a group."""

    user_id: str
    username: str
    by_claim: bool


class GrantRow(msgspec.Struct, frozen=True, kw_only=True):
    """A grant with the name of its user or group; exactly one of both ids is set, unless it limits a token."""

    id: str
    subject: str
    user_id: str | None
    group_id: str | None
    token_id: str | None
    role: str
    pattern: str | None
    tag: str | None
    created_at: datetime
    created_by: str | None
    username: str | None = None
    group_name: str | None = None


def user_subject(user_id: str) -> str:
    return f"user:{user_id}"


def group_subject(group_id: str) -> str:
    return f"group:{group_id}"


def token_subject(token_id: str) -> str:
    return f"token:{token_id}"


def group_ids_of(user_id: ColumnElement[str] | InstrumentedAttribute[str]) -> ScalarSelect[str]:
    """Select the ids of a user's groups as a text with commas, for ``subjects``."""
    found = select(func.aggregate_strings(GroupMember.group_id, ",")).where(GroupMember.user_id == user_id)
    return found.correlate_except(GroupMember).scalar_subquery()


def subjects(user_id: str, group_ids: str | None) -> tuple[str, ...]:
    """Return the subjects whose grants a user has: the user, and its groups, as a text with commas."""
    return (user_subject(user_id), *map(group_subject, sorted(group_ids.split(",") if group_ids else ())))


def find_subjects(connection: ReadConnection, user_id: str) -> tuple[str, ...]:
    """Return the subjects whose grants a user has."""
    return subjects(user_id, connection.scalar(select(group_ids_of(literal(user_id)))))


def find_names(connection: ReadConnection, user_id: str) -> Sequence[str]:
    """Return the names of a user's groups."""
    of_user = (
        select(Group.name).join(GroupMember, GroupMember.group_id == Group.id).where(GroupMember.user_id == user_id)
    )
    return connection.scalars(of_user).all()


# -- groups ------------------------------------------------------------------------------------------------------------


def find(connection: ReadConnection) -> Sequence[GroupRow]:
    """Return all groups by name."""
    return all_rows(connection, GroupRow, _find_groups.order_by(Group.name))


def get(connection: ReadConnection, group_id: str) -> GroupRow | None:
    """Return a group."""
    return None if "\0" in group_id else first_row(connection, GroupRow, _find_groups.where(Group.id == group_id))


def get_by_name(connection: ReadConnection, name: str) -> GroupRow | None:
    """Return a group by name, case-sensitive."""
    return first_row(connection, GroupRow, _find_groups.where(Group.name == name))


def add(connection: WriteConnection, row: GroupRow) -> None:
    """Store a new group."""
    values = {"id": row.id, "name": row.name, "claim": row.claim, "created_at": row.created_at}
    connection.execute(insert(Group).values(**values))


def change(connection: WriteConnection, group_id: str, *, name: str, claim: str | None) -> None:
    """Change name and claim of a group."""
    connection.execute(update(Group).where(Group.id == group_id).values(name=name, claim=claim))


def remove(connection: WriteConnection, group_id: str) -> None:
    """Delete a group with its members and grants."""
    dag_access.remove_subject(connection, group_subject(group_id))
    connection.execute(delete(Group).where(Group.id == group_id))


def remove_access_of_user(connection: WriteConnection, user_id: str) -> None:
    """Delete what the grants of a user and of its tokens give, before the user is deleted."""
    tokens = connection.scalars(select(Token.id).where(Token.user_id == user_id))
    for subject in (user_subject(user_id), *map(token_subject, tokens)):
        dag_access.remove_subject(connection, subject)


def find_members(connection: ReadConnection, group_id: str) -> Sequence[MemberRow]:
    """Return the members of a group by name."""
    statement = select(GroupMember.user_id, User.username, GroupMember.by_claim).join(User)
    return all_rows(connection, MemberRow, statement.where(GroupMember.group_id == group_id).order_by(User.username))


def add_member(connection: WriteConnection, group_id: str, user_id: str, *, by_claim: bool = False) -> bool:
    """Add a member; False for one that the group has. One by claim becomes one by hand."""
    found = (GroupMember.group_id == group_id, GroupMember.user_id == user_id)
    was_by_claim = connection.scalar(select(GroupMember.by_claim).where(*found))
    if was_by_claim is None:
        row = {"group_id": group_id, "user_id": user_id, "by_claim": by_claim}
        connection.execute(insert(GroupMember).values(**row))
    elif was_by_claim and not by_claim:
        connection.execute(update(GroupMember).where(*found).values(by_claim=False))
    return was_by_claim is None


def remove_member(connection: WriteConnection, group_id: str, user_id: str) -> bool:
    """Remove a member; False if the group does not have it."""
    found = (GroupMember.group_id == group_id, GroupMember.user_id == user_id)
    return bool(connection.execute(delete(GroupMember).where(*found)).rowcount)


def remove_members_by_claim(connection: WriteConnection, group_id: str) -> None:
    """Remove the members that a claim has made, for a group that has another one."""
    found = (GroupMember.group_id == group_id, GroupMember.by_claim.is_(True))
    connection.execute(delete(GroupMember).where(*found))


def find_groups_by_claim(connection: ReadConnection, user_id: str) -> set[str]:
    """Return the groups whose member a user is by claim."""
    statement = select(GroupMember.group_id).where(GroupMember.user_id == user_id, GroupMember.by_claim.is_(True))
    return set(connection.scalars(statement))


# -- grants ------------------------------------------------------------------------------------------------------------


def find_grants(connection: ReadConnection, most: int) -> Sequence[GrantRow]:
    """Return the grants of groups and users, by their names."""
    statement = _find_grants.where(Grant.token_id.is_(None))
    return all_rows(connection, GrantRow, statement.order_by(*_in_order).limit(most))


def find_grants_by_id(connection: ReadConnection, ids: Collection[str]) -> Sequence[GrantRow]:
    """Return those of the grants that users and groups have."""
    statement = _find_grants.where(Grant.token_id.is_(None), Grant.id.in_(ids))
    return all_rows(connection, GrantRow, statement.order_by(*_in_order))


def get_grant(connection: ReadConnection, grant_id: str) -> GrantRow | None:
    """Return a grant of a user or group."""
    if "\0" in grant_id:
        return None
    return first_row(connection, GrantRow, _find_grants.where(Grant.token_id.is_(None), Grant.id == grant_id))


def find_same(connection: ReadConnection, row: GrantRow) -> bool:
    """Whether the subject has a grant for the same pattern or tag."""
    same = (Grant.subject == row.subject, Grant.pattern.is_not_distinct_from(row.pattern))
    statement = select(Grant.id).where(*same, Grant.tag.is_not_distinct_from(row.tag))
    return connection.scalar(statement) is not None


def count_grants(connection: ReadConnection, subject: str) -> int:
    """Count the grants of a subject."""
    return connection.scalar(select(func.count()).where(Grant.subject == subject)) or 0


def add_grant(connection: WriteConnection, row: GrantRow) -> None:
    """Store a new grant, which counts at once; the grants have to be locked."""
    values = {column.name: getattr(row, column.name) for column in columns(Grant, GrantRow)}
    connection.execute(insert(Grant).values(**values))
    if row.token_id is None:  # what limits a token is compared when a request comes
        dag_access.fill(connection, row.id)


def change_grant(connection: WriteConnection, row: GrantRow, role: str) -> None:
    """Change the role of a grant; the grants have to be locked."""
    names = dag_access.find_covered(connection, row.id)
    connection.execute(update(Grant).where(Grant.id == row.id).values(role=role))
    dag_access.refresh_subject(connection, row.subject, names)


def remove_grant(connection: WriteConnection, row: GrantRow) -> None:
    """Delete a grant; the grants have to be locked."""
    names = dag_access.find_covered(connection, row.id)
    connection.execute(delete(Grant).where(Grant.id == row.id))
    dag_access.refresh_subject(connection, row.subject, names)
