"""Writing of imported definitions, the base configuration and users, each only where nothing else is there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import msgspec

from dagbook.accounts.users import check_name
from dagbook.auth.audit_context import Action, Actor, dag_action, user_action
from dagbook.auth.roles import Role
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, dags, revisions, sources
from dagbook.db.repositories.accounts import users
from dagbook.db.repositories.accounts.users import UserRow
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.definitions import DefinitionRow
from dagbook.errors import BadRequestError
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import BASE, load
from dagbook.transfer.report import Counts, Finding, Outcome
from dagbook.transfer.source import FoundDefinition, FoundUser
from dagbook.transfer.target import write_file

AUTHOR = "import"
_AT_A_TIME = 20
_MOST_PROBLEMS = 3
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
HIGHEST_COST = 14  # a login takes a second or two; each further step doubles that, and other logins wait for it
_NO_PASSWORD = ""
_ADMIN_LEFT_OUT = "admins are imported with --with-admins only"
_NO_ADMIN_YET = "there is no admin here yet: repeat this with --with-admins, or after a server has made one"
_BUILTIN = ("", "builtin")


class ImportContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who imports, when, from where; without a database, or with ``dry_run``, nothing is written."""

    database: Database | None
    actor: Actor
    at: datetime
    source: str
    dry_run: bool
    suspend_all: bool = False
    with_admins: bool = False

    @property
    def writes_to(self) -> Database | None:
        return None if self.dry_run else self.database


class _Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A definition to store; ``revision`` is the one that it replaces, 0 for a new DAG."""

    save: dags.Save
    suspended: bool
    revision: int


class DefinitionImport:
    """Imports definitions as revisions, each new DAG with its suspension in one transaction."""

    def __init__(self, context: ImportContext, library: DefinitionCache) -> None:
        self._context = context
        self._library = library

    async def store(self, found: Sequence[FoundDefinition], counts: Counts, suspended: Counts) -> list[Finding]:
        """Store definitions, and count them; returns what is left out or differs."""
        findings = list[Finding]()
        for first in range(0, len(found), _AT_A_TIME):
            some = found[first : first + _AT_A_TIME]
            names, rows = [each.name for each in some], dict[str, DagRow]()
            if self._context.database is not None:
                known = await self._context.database.read(partial(dags.find_files, file_names=names))
                rows = {row.file_name: row for row in known}
            plans = [await self._plan(each, rows.get(each.name), counts, suspended, findings) for each in some]
            planned = [plan for plan in plans if plan is not None]
            if planned and self._context.writes_to is not None:
                await self._context.writes_to.write(partial(self._add, planned))
            counts.imported += len(planned)
            suspended.imported += sum(plan.suspended for plan in planned)
        counts.found += len(found)
        suspended.found += sum(each.suspended for each in found)
        return findings

    async def _plan(
        self, found: FoundDefinition, row: DagRow | None, counts: Counts, suspended: Counts, findings: list[Finding]
    ) -> _Planned | None:
        """Decide what becomes of a definition, whose stored DAG is ``row``; None if nothing is written."""
        loaded = self._library.read(found.text, name=found.name)
        problems = [str(problem) for problem in loaded.problems[:_MOST_PROBLEMS]]
        if loaded.empty or problems:
            counts.left_out += 1
            reason = "; ".join(problems) or "it has no definition in it"
            findings.append(_finding(found, "left_out", reason))
            return None
        dag = loaded.definition.dag
        definition = DefinitionRow.of(found.text, "", self._context.at)
        if row is not None and row.definition_hash == definition.hash:
            counts.present += 1
            suspended.present += found.suspended and row.suspended
            suspended.differing += found.suspended and not row.suspended
            if row.suspended != found.suspended:
                state = "suspended" if found.suspended else "not suspended"
                findings.append(_finding(found, "differing", f"there it is {state}, here it stays as it is"))
            return None
        if row is not None and (reason := await self._edited_by(row)):
            counts.differing += 1
            findings.append(_finding(found, "differing", reason))
            return None
        save = dags.Save(
            file_name=found.name,
            dag_name=dag.name or found.name,
            tags=dag.tags,
            definition=definition,
            author=self._context.actor.label,
            at=self._context.at,
            note=f"imported from {found.file}"[:1_000],
        )
        is_new = row is None
        is_suspended = is_new and (found.suspended or self._context.suspend_all)
        return _Planned(save=save, suspended=is_suspended, revision=0 if row is None else row.revision)

    async def _edited_by(self, row: DagRow) -> str:
        """Return why the newest revision of a DAG is not replaced; empty if an import has stored it."""
        database = self._context.database
        assert database is not None  # noqa: S101 - the row is from it
        origin = await database.read(sources.get_origin, row.file_name)
        if origin is not None:
            return f"here it comes from the source {origin.source}"
        found = await database.read(revisions.find, row.id, [row.revision])
        author = found[row.revision].author if row.revision in found else None
        if author is not None and author.split(" ")[0] == AUTHOR:
            return ""
        return f"here it was saved by {author or 'an unnamed user'}, and is not replaced"

    def _add(self, planned: Sequence[_Planned], connection: WriteConnection) -> None:
        actor = self._context.actor
        for plan in planned:
            save, name = plan.save, plan.save.file_name
            content_hash = save.definition.hash
            if plan.revision:
                number = dags.replace(connection, msgspec.structs.replace(save, expected=[plan.revision]))
                after = {"revision": number, "hash": content_hash}
                done = dag_action(Action.DAG_UPDATE, name, {"revision": plan.revision}, after)
                stored = number is not None
            else:
                stored = dags.add(connection, save)
                done = dag_action(Action.DAG_CREATE, name, after={"revision": 1, "hash": content_hash})
            if stored:
                audit.add(connection, actor.entry(done, save.at))
            if stored and plan.suspended:
                dags.suspend(connection, name, dags.Suspension())
                change = dag_action(Action.DAG_SUSPEND, name, {"suspended": False}, {"suspended": True})
                audit.add(connection, actor.entry(change, save.at))


def store_base(text: str, target: Path, counts: Counts, *, dry_run: bool) -> list[Finding]:
    """Write the base configuration to where this server reads it, unless another one is there."""
    if not text.strip():
        return []
    counts.found += 1
    problems = [problem for problem in load("steps: []\n", base=text).problems if problem.dag == BASE]
    existing = target.read_text("utf-8", "replace") if target.exists() else None
    if problems:
        counts.left_out += 1
        return [Finding(kind="base", name="base.yaml", outcome="left_out", reason=str(problems[0]), file="base.yaml")]
    if existing == text:
        counts.present += 1
    elif existing is not None:
        counts.differing += 1
        reason = f"{target} is there with another text, and is not replaced"
        return [Finding(kind="base", name="base.yaml", outcome="differing", reason=reason, file="base.yaml")]
    else:
        counts.imported += 1
        if not dry_run:
            _write_file(target, text)
    return []


def _write_file(target: Path, text: str) -> None:
    """Write a file, complete or not at all."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        write_file(fresh, [text.encode()])
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


async def store_users(found: Sequence[FoundUser], context: ImportContext, counts: Counts) -> list[Finding]:
    """Store users with their passwords, whose hashes are of the same kind here; returns what becomes of each.

    Admins come first, so that a limit of what is shown never hides them.
    """
    counts.found += len(found)
    findings = list[Finding]()
    database = context.database
    has_admin = database is not None and await database.read(partial(users.count, role=Role.ADMIN)) > 0
    for user in sorted(found, key=lambda each: each.record.role != Role.ADMIN):
        outcome, reason = await _store_user(user, context, has_admin=has_admin)
        is_new = outcome in ("imported", "changed")
        has_admin = has_admin or (is_new and user.record.role == Role.ADMIN and not user.record.is_disabled)
        counts.add(outcome)
        if outcome is not None:
            name = user.record.username
            findings.append(Finding(kind="user", name=name, outcome=outcome, reason=reason, file=user.file))
    return findings


async def _store_user(user: FoundUser, context: ImportContext, *, has_admin: bool) -> tuple[Outcome | None, str]:
    """Store a user who is not here; returns what was done and why, None if the same one is here."""
    if reason := _user_fault(user):
        return "left_out", reason
    row, known = _user_row(user, context.at), None
    if context.database is not None:
        known = await context.database.read(partial(users.get_by_name, username=row.username))
    if known is not None:
        if (known.role, known.password_hash) == (row.role, row.password_hash):
            return None, ""
        return "differing", "here this user has another role or password, and is not changed"
    is_admin = row.role == Role.ADMIN
    if not (context.with_admins if is_admin else has_admin):
        return "left_out", _ADMIN_LEFT_OUT if is_admin else _NO_ADMIN_YET
    if context.writes_to is not None:
        await context.writes_to.write(partial(_add_user, row, context))
    if row.password_hash == _NO_PASSWORD:
        fix = "`dagbook users passwd NAME` sets one"
        return "changed", f"{row.role}, without password: its bcrypt hash costs more than {HIGHEST_COST}; {fix}"
    return "imported", f"{row.role}, {'disabled' if row.disabled_at else 'with the password'}"


def find_cost(hashed: str) -> int | None:
    """Return the cost of a bcrypt hash, None for any other text."""
    found = _BCRYPT.fullmatch(hashed)
    return None if found is None else int(found["cost"])


def _user_fault(user: FoundUser) -> str:
    record = user.record
    try:
        check_name(record.username)
    except BadRequestError as error:
        return str(error)
    if record.auth_provider not in _BUILTIN:
        return f"it logs in at a provider ({record.auth_provider[:40]}), which creates it here at its first login"
    if record.role not in {str(role) for role in Role}:
        return f"there is no role {record.role[:40]!r} here"
    if find_cost(record.password_hash) is None:
        return "its password is not a bcrypt hash that can be used here; create it with `dagbook users add`"
    return ""


def _user_row(user: FoundUser, at: datetime) -> UserRow:
    record = user.record
    cost = find_cost(record.password_hash)
    is_usable = cost is not None and cost <= HIGHEST_COST
    return UserRow(
        id=str(uuid4()),
        username=record.username,
        role=record.role,
        password_hash=record.password_hash if is_usable else _NO_PASSWORD,
        generation=1,
        disabled_at=at if record.is_disabled else None,
        created_at=at,
        updated_at=at,
    )


def _add_user(row: UserRow, context: ImportContext, connection: WriteConnection) -> None:
    users.lock(connection)
    if users.get_by_name(connection, row.username) is None:
        users.add(connection, row)
        done = user_action(Action.USER_CREATE, row.username, after={"id": row.id, "role": row.role})
        audit.add(connection, context.actor.entry(done, context.at))


def _finding(found: FoundDefinition, outcome: Outcome, reason: str) -> Finding:
    return Finding(kind="definition", name=found.name, outcome=outcome, reason=reason, file=found.file)
