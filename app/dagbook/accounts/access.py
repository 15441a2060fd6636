"""Rights per DAG: groups, grants, and what a user sees and may do by them (extension of the contract)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from uuid import uuid4

import msgspec
import re2

from dagbook.auth.audit_context import Action, AuditAction, Caller, Values
from dagbook.auth.roles import GRANTABLE, Role, UserScope, lower_role
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit, dags
from dagbook.db.repositories.accounts import dag_access, groups, users
from dagbook.db.repositories.accounts.groups import GrantRow, GroupRow, MemberRow
from dagbook.db.repositories.accounts.users import UserRow
from dagbook.errors import AlreadyExistsError, BadRequestError, ForbiddenError, NotFoundError
from dagbook.identifiers import is_name, shorten

MAX_PATTERNS = 50  # of one token
MAX_LISTED = 10_000
_MAX_GRANTS = 1_000  # of one user or group
_MAX_GROUPS = 1_000
_LONGEST = 64
_LONGEST_CLAIM = _LONGEST_TAG = 256
_STARS = re.compile(r"\*+")
_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]+")


def check_pattern(text: str, field: str) -> str:
    """Return a pattern of DAG names; raises BadRequestError."""
    if not _PATTERN.fullmatch(text) or len(text) > _LONGEST:
        raise BadRequestError(
            f"{field}: {shorten(text)} is no pattern of DAG names; use 1 to {_LONGEST} letters, digits, '-', '_', "
            "'.', '*' for any text and '?' for any sign"
        )
    return text


def without_covered(patterns: Sequence[str]) -> list[str]:
    """Return the patterns without those of which another one matches every name; pure."""
    shortened = dict.fromkeys(_STARS.sub("*", pattern) for pattern in patterns)
    # Another one is found where the pattern itself, taken as a name, matches: ``*`` is matched by ``*`` alone.
    found = {each: re2.compile(re2.escape(each).replace(r"\*", ".*").replace(r"\?", "[^*]")) for each in shortened}
    return [each for each in shortened if not any(found[other].fullmatch(each) for other in shortened if other != each)]


class GroupRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Name of a group, and the claim CLAIM=VALUE by which accounts of the provider are its members, "" for none."""

    name: str
    claim: str = ""


class GrantRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A role for a user or a group, for a pattern of DAG names or a tag."""

    role: Role
    user_id: str = ""
    group_id: str = ""
    pattern: str = ""
    tag: str = ""


class DagRight(msgspec.Struct, frozen=True, kw_only=True):
    """A DAG name that a user sees, and the role there."""

    dag_name: str
    role: Role


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a user sees: all DAGs in the user's role, or a page of the granted ones."""

    user: UserRow
    rights: Sequence[DagRight] = ()


class DagAccessList(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what with a DAG: the users whose role counts everywhere, and the grants that cover it."""

    everywhere: Sequence[UserRow]
    grants: Sequence[GrantRow]


class Access:
    """Use cases of admins, who have already been checked, and the look-ups of the guard."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    # -- the guard -----------------------------------------------------------------------------------------------

    async def role_for_file(self, file_name: str, caller: Caller) -> Role | None:
        """Return the role of a caller with grants for a stored DAG, or for the DAG name of a file that is gone."""
        rank = await self._database.read_inline(
            lambda connection: dag_access.get_rank_of_file(connection, file_name, caller.visibility)
        )
        return None if rank is None else lower_role(GRANTABLE[rank], caller.ceiling)

    async def role_for_name(self, name: str, caller: Caller) -> Role | None:
        """Return the role of a caller with grants for a DAG name."""
        rank = await self._database.read_inline(
            lambda connection: dag_access.get_rank(connection, name, caller.visibility)
        )
        return None if rank is None else lower_role(GRANTABLE[rank], caller.ceiling)

    async def roles_for_names(self, names: Collection[str], caller: Caller) -> dict[str, Role]:
        """Return the roles of a caller with grants for those of the DAG names that it sees."""
        ranks = await self._database.read_inline(
            lambda connection: dag_access.find_ranks(connection, names, caller.visibility)
        )
        return {name: lower_role(GRANTABLE[rank], caller.ceiling) for name, rank in ranks.items()}

    async def may_create(self, user: UserRow) -> bool:
        """Whether a user may create DAGs at all: by the role, or with names that a grant as manager covers."""
        if user.scope != UserScope.GRANTED:
            return lower_role(Role(user.role), Role.MANAGER) is Role.MANAGER
        return await self._database.read_inline(
            lambda connection: dag_access.has_patterns_of_manager(connection, groups.find_subjects(connection, user.id))
        )

    async def require_name(self, name: str, field: str, caller: Caller) -> None:
        """Raise BadRequestError for a caller with grants that names no DAG, NotFoundError for one it does not see."""
        if not name:
            raise BadRequestError(f"{field}: is missing; your rights are for single DAGs, so name one")
        if await self.role_for_name(name, caller) is None:
            raise NotFoundError(f"{field}: there is no DAG named {shorten(name)}")

    async def check_run_name(self, name: str, caller: Caller) -> None:
        """Raise ForbiddenError if a caller with grants may not run DAGs of a name that a start gives."""
        if name and caller.visibility and await self.role_for_name(name, caller) in (None, Role.VIEWER):
            raise ForbiddenError(f"dagName: your rights do not include running DAGs named {shorten(name)}")

    # -- groups --------------------------------------------------------------------------------------------------

    async def create_group(self, request: GroupRequest, caller: Caller) -> GroupRow:
        """Create a group; raises BadRequestError or AlreadyExistsError."""
        claim = _check_group(request)
        row = GroupRow(id=str(uuid4()), name=request.name, claim=claim, created_at=self._now())

        def work(connection: WriteConnection) -> None:
            users.lock(connection)
            _refuse_taken(connection, request.name)
            if len(groups.find(connection)) >= _MAX_GROUPS:
                raise BadRequestError(f"there are {_MAX_GROUPS} groups already; delete one first")
            groups.add(connection, row)
            action = _group_action(Action.GROUP_CREATE, row, after={"id": row.id, "claim": claim})
            audit.add(connection, caller.actor.entry(action, row.created_at))

        await self._database.write(work)
        return row

    async def get_group(self, group_id: str) -> tuple[GroupRow, Sequence[MemberRow]]:
        """Return a group with its members; raises NotFoundError."""
        return await self._database.read_inline(
            lambda connection: (_require_group(connection, group_id), groups.find_members(connection, group_id))
        )

    async def update_group(self, group_id: str, request: GroupRequest, caller: Caller) -> GroupRow:
        """Change name and claim; members by another claim are removed. Raises what ``create_group`` raises."""
        claim = _check_group(request)

        def work(connection: WriteConnection) -> GroupRow:
            users.lock(connection)
            row = _require_group(connection, group_id)
            if request.name != row.name:
                _refuse_taken(connection, request.name)
            groups.change(connection, group_id, name=request.name, claim=claim)
            if claim != row.claim:
                groups.remove_members_by_claim(connection, group_id)
            was, now = ({"name": row.name, "claim": row.claim}, {"name": request.name, "claim": claim})
            if was != now:
                action = _group_action(Action.GROUP_UPDATE, row, was, now)
                audit.add(connection, caller.actor.entry(action, self._now()))
            return _require_group(connection, group_id)

        return await self._database.write(work)

    async def remove_group(self, group_id: str, caller: Caller) -> None:
        """Delete a group with its grants; raises NotFoundError."""

        def work(connection: WriteConnection) -> None:
            users.lock(connection)
            dag_access.lock(connection)
            row = _require_group(connection, group_id)
            groups.remove(connection, group_id)
            before = {"id": row.id, "claim": row.claim, "members": row.members}
            action = _group_action(Action.GROUP_DELETE, row, before)
            audit.add(connection, caller.actor.entry(action, self._now()))

        await self._database.write(work)

    async def add_member(self, group_id: str, user_id: str, caller: Caller) -> None:
        """Add a user to a group; idempotent. Raises NotFoundError."""

        def work(connection: WriteConnection) -> None:
            users.lock(connection)
            group, user = _require_group(connection, group_id), _require_user(connection, user_id)
            if groups.add_member(connection, group_id, user_id):
                action = _group_action(Action.GROUP_JOIN, group, after={"user": user.username})
                audit.add(connection, caller.actor.entry(action, self._now()))

        await self._database.write(work)

    async def remove_member(self, group_id: str, user_id: str, caller: Caller) -> None:
        """Remove a user from a group; idempotent. Raises NotFoundError."""

        def work(connection: WriteConnection) -> None:
            users.lock(connection)
            group, user = _require_group(connection, group_id), _require_user(connection, user_id)
            if groups.remove_member(connection, group_id, user_id):
                action = _group_action(Action.GROUP_LEAVE, group, {"user": user.username})
                audit.add(connection, caller.actor.entry(action, self._now()))

        await self._database.write(work)

    # -- grants --------------------------------------------------------------------------------------------------

    async def create_grant(self, request: GrantRequest, caller: Caller) -> GrantRow:
        """Create a grant; raises BadRequestError, NotFoundError or AlreadyExistsError."""
        row = _new_grant(request, caller, self._now())

        def work(connection: WriteConnection) -> GrantRow:
            users.lock(connection)
            dag_access.lock(connection)
            if row.user_id:
                _require_user(connection, row.user_id)
            else:
                _require_group(connection, row.group_id or "")
            if groups.find_same(connection, row):
                raise AlreadyExistsError(f"there is a grant for {_target(row)} already; change its role instead")
            if groups.count_grants(connection, row.subject) >= _MAX_GRANTS:
                raise BadRequestError(f"there are {_MAX_GRANTS} grants of this user or group; use a pattern or a tag")
            groups.add_grant(connection, row)
            stored = _require_grant(connection, row.id)
            action = _grant_action(Action.GRANT_CREATE, stored, after={"role": stored.role})
            audit.add(connection, caller.actor.entry(action, stored.created_at))
            return stored

        return await self._database.write(work)

    async def update_grant(self, grant_id: str, role: Role, caller: Caller) -> GrantRow:
        """Change the role of a grant; raises NotFoundError or BadRequestError."""
        _check_role(role)

        def work(connection: WriteConnection) -> GrantRow:
            dag_access.lock(connection)
            row = _require_grant(connection, grant_id)
            if row.role != role:
                groups.change_grant(connection, row, str(role))
                action = _grant_action(Action.GRANT_UPDATE, row, {"role": row.role}, {"role": str(role)})
                audit.add(connection, caller.actor.entry(action, self._now()))
            return msgspec.structs.replace(row, role=str(role))

        return await self._database.write(work)

    async def remove_grant(self, grant_id: str, caller: Caller) -> None:
        """Delete a grant; raises NotFoundError."""

        def work(connection: WriteConnection) -> None:
            dag_access.lock(connection)
            row = _require_grant(connection, grant_id)
            groups.remove_grant(connection, row)
            action = _grant_action(Action.GRANT_DELETE, row, {"role": row.role})
            audit.add(connection, caller.actor.entry(action, self._now()))

        await self._database.write(work)

    # -- who sees what -------------------------------------------------------------------------------------------

    async def try_as(self, user_id: str, part: str, offset: int, limit: int) -> View:
        """Return what a user sees: a page of the granted DAG names that contain a text. Raises NotFoundError."""

        def read(connection: ReadConnection) -> View:
            user = _require_user(connection, user_id)
            if user.scope == UserScope.ALL or "\0" in part:
                return View(user=user)
            visibility = (groups.find_subjects(connection, user_id),)
            found = dag_access.find_page(connection, visibility, part=part, offset=offset, limit=limit)
            return View(user=user, rights=[DagRight(dag_name=one.dag_name, role=GRANTABLE[one.rank]) for one in found])

        return await self._database.read(read)

    async def of_dag(self, file_name: str) -> DagAccessList:
        """Return who may do what with a stored DAG; raises NotFoundError."""

        def read(connection: ReadConnection) -> DagAccessList:
            dag = dags.get(connection, file_name) if is_name(file_name) else None
            if dag is None:
                raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
            covering = dag_access.find_covering(connection, dag.dag_name, dags.get_tags(connection, dag.dag_name))
            everywhere = [user for user in users.find(connection) if user.scope == UserScope.ALL]
            return DagAccessList(everywhere=everywhere, grants=groups.find_grants_by_id(connection, covering))

        return await self._database.read(read)


def matching_groups(connection: ReadConnection, values: Callable[[str], Collection[str]]) -> set[str]:
    """Return the ids of the groups whose claim an account has; ``values`` returns the values of a claim by its name."""
    found = set()
    for group in groups.find(connection):
        claim, equals, value = (group.claim or "").partition("=")
        if equals and value in values(claim):
            found.add(group.id)
    return found


def _check_group(request: GroupRequest) -> str | None:
    """Return the claim as it is stored; raises BadRequestError."""
    if not request.name.strip() or len(request.name) > _LONGEST or "\0" in request.name:
        raise BadRequestError(f"name: {shorten(request.name)} is not a group name; use 1 to {_LONGEST} characters")
    claim, equals, value = request.claim.partition("=")
    if request.claim and (not claim or not equals or not value or len(request.claim) > _LONGEST_CLAIM):
        raise BadRequestError(
            f"claim: {shorten(request.claim)} is no claim; write CLAIM=VALUE such as groups=ops, or nothing"
        )
    if "\0" in request.claim:
        raise BadRequestError("claim: must not contain NUL")
    return request.claim or None


def _new_grant(request: GrantRequest, caller: Caller, now: datetime) -> GrantRow:
    _check_role(request.role)
    if bool(request.user_id) == bool(request.group_id):
        raise BadRequestError("userId, groupId: give one of the two")
    pattern, tag = _check_target(request)
    of_user = bool(request.user_id)
    return GrantRow(
        id=str(uuid4()),
        subject=groups.user_subject(request.user_id) if of_user else groups.group_subject(request.group_id),
        user_id=request.user_id or None,
        group_id=request.group_id or None,
        token_id=None,
        role=str(request.role),
        pattern=pattern,
        tag=tag,
        created_at=now,
        created_by=caller.actor_label,
    )


def _check_role(role: Role) -> None:
    if role not in GRANTABLE:
        raise BadRequestError(f"role: a grant gives one of {', '.join(GRANTABLE)}; admins are admins everywhere")


def _check_target(request: GrantRequest) -> tuple[str | None, str | None]:
    """Return pattern and tag as they are stored, one of them None; raises BadRequestError."""
    if bool(request.pattern) == bool(request.tag):
        raise BadRequestError("pattern, tag: give one of the two")
    if request.pattern:
        return check_pattern(request.pattern, "pattern"), None
    tag = request.tag.strip().lower()  # as those of definitions
    if not tag or len(tag) > _LONGEST_TAG or "\0" in tag:
        raise BadRequestError(f"tag: {shorten(request.tag)} is no tag; use 1 to {_LONGEST_TAG} characters")
    return None, tag


def _require_group(connection: ReadConnection, group_id: str) -> GroupRow:
    row = groups.get(connection, group_id)
    if row is None:
        raise NotFoundError(f"there is no group with the id {shorten(group_id)}")
    return row


def _require_user(connection: ReadConnection, user_id: str) -> UserRow:
    row = users.get(connection, user_id)
    if row is None:
        raise NotFoundError(f"there is no user with the id {shorten(user_id)}")
    return row


def _require_grant(connection: ReadConnection, grant_id: str) -> GrantRow:
    row = groups.get_grant(connection, grant_id)
    if row is None:
        raise NotFoundError(f"there is no grant with the id {shorten(grant_id)}")
    return row


def _refuse_taken(connection: ReadConnection, name: str) -> None:
    if groups.get_by_name(connection, name) is not None:
        raise AlreadyExistsError(f"a group named {shorten(name)} exists already")


def _target(row: GrantRow) -> str:
    return f"DAGs named {row.pattern}" if row.pattern else f"DAGs tagged {row.tag}"


def _group_action(action: Action, group: GroupRow, before: Values = None, after: Values = None) -> AuditAction:
    return AuditAction(action=action, kind="group", name=group.name, before=before, after=after)


def _grant_action(action: Action, row: GrantRow, before: Values = None, after: Values = None) -> AuditAction:
    subject = f"user {row.username}" if row.user_id else f"group {row.group_name}"
    return AuditAction(action=action, kind="grant", name=f"{subject}: {_target(row)}", before=before, after=after)
