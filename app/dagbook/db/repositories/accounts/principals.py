"""Users whose rights count for the calls of a run: stored with attempts of root runs and with revisions.

What a run may ask for by the name of its DAG is decided here as well.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import bindparam, exists, select

from dagbook.db.database import ReadConnection
from dagbook.db.models.definition import Dag, DagRevision
from dagbook.db.models.run import Run, RunAttempt
from dagbook.db.models.source import SourceFile
from dagbook.db.models.user import Grant, Token, User
from dagbook.db.repositories.accounts import dag_access, groups
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.statements import first_row

_VIEWER, _OPERATOR, _MANAGER = 0, 1, 2  # ranks
_of_run = (
    select(RunAttempt.principal_id.label("user_id"), RunAttempt.principal_token_id.label("token_id"))
    .join(Run, (Run.id == RunAttempt.run_id) & (Run.attempt == RunAttempt.number))
    .where(Run.id == bindparam("run"))
)
_author = (
    select(DagRevision.author_id.label("user_id"), DagRevision.author_token_id.label("token_id"))
    .join(Dag, Dag.id == DagRevision.dag_id)
    .where(
        Dag.file_name == bindparam("file"),
        DagRevision.number == bindparam("number"),
        ~exists().where(SourceFile.dag_id == Dag.id),
    )
)
_patterns = select(Grant.pattern).where(Grant.token_id == bindparam("token"))
_dag_name = select(Dag.dag_name).where(Dag.file_name == bindparam("file"))
_origin = select(Run.file_name, Run.parent_id, Run.dag_name).where(Run.id == bindparam("run"))
_role = select(User.role, User.scope).where(User.id == bindparam("user"), User.disabled_at.is_(None))
_token = select(Token.id).where(Token.id == bindparam("token"), Token.revoked_at.is_(None))
_scope = select(User.scope).where(User.id == bindparam("user"))


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A user, who may be deleted by now, and the token that limits the rights of the user; without a user no limit."""

    user_id: str | None = None
    token_id: str | None = None


UNLIMITED = Principal()


def get_of_run(connection: ReadConnection, root: int) -> Principal:
    """Return whose rights count for the calls of the newest attempt of a root run, and of its sub-runs."""
    return first_row(connection, Principal, _of_run, run=root) or UNLIMITED


def get_author(connection: ReadConnection, file_name: str, number: int) -> Principal:
    """Return the author of a revision of a stored DAG; one from a source has no limit."""
    return first_row(connection, Principal, _author, file=file_name, number=number) or UNLIMITED


def may_run(connection: ReadConnection, file_name: str, visibility: Visibility) -> bool:
    """Whether there is a stored DAG with this file name, and who sees by grants may run it."""
    dag_name = connection.scalar(_dag_name, {"file": file_name})
    return dag_name is not None and _has_rank(connection, dag_name, visibility, _OPERATOR)


def may_call(connection: ReadConnection, root: int, dag_names: Iterable[str]) -> bool:
    """Whether a root run, or a sub-run of it, may call the stored DAGs with these DAG names, by the rights as of now.

    It may if the role of its principal counts everywhere; if that user is deleted, it may not call any.
    """
    principal = get_of_run(connection, root)
    return all(_includes(connection, principal, name, _OPERATOR) for name in dag_names)


def may_see(connection: ReadConnection, principal: Principal, dag_name: str) -> bool:
    """Whether a principal sees the runs of a DAG name, by the rights as of now; a deleted user does not."""
    return _includes(connection, principal, dag_name, _VIEWER)


def find_stored_dag(connection: ReadConnection, run: int) -> str | None:
    """Return the stored DAG that a run is of, or, of a text that is not stored, that of its nearest caller.

    A text without such a caller counts by the name that it gives itself, unless a user runs it: the name is no right.
    """
    file_name, parent, dag_name = connection.execute(_origin, {"run": run}).one()
    while file_name is None and parent is not None:
        run = parent
        file_name, parent, dag_name = connection.execute(_origin, {"run": run}).one()
    if file_name is None and get_of_run(connection, run).user_id is None:
        return str(dag_name)
    return None if file_name is None else str(file_name)


def may_change(connection: ReadConnection, principal: Principal, dag_name: str, *, deletes: bool = False) -> bool:
    """Whether a principal may start runs of a DAG name, or delete them, by role, token and grants as of now."""
    user, token = principal.user_id, principal.token_id
    if user is None:
        return True
    found = connection.execute(_role, {"user": user}).first()
    if found is None or (token is not None and connection.scalar(_token, {"token": token}) is None):
        return False
    too_low = ("viewer", "operator") if deletes else ("viewer",)
    may_anywhere = found.scope != "all" or found.role not in too_low
    return may_anywhere and _includes(connection, principal, dag_name, _MANAGER if deletes else _OPERATOR)


def _includes(connection: ReadConnection, principal: Principal, dag_name: str, rank: int) -> bool:
    user, token = principal.user_id, principal.token_id
    if user is None:
        return True
    scope = connection.scalar(_scope, {"user": user})
    if scope is None:
        return False
    visibility: Visibility = () if scope == "all" else (groups.find_subjects(connection, user),)
    patterns = connection.scalars(_patterns, {"token": token}).all() if token is not None else ()
    if patterns:
        visibility = (
            *visibility,
            tuple(dag_access.pattern_subject(pattern) for pattern in patterns if pattern is not None),
        )
    return not visibility or _has_rank(connection, dag_name, visibility, rank)


def _has_rank(connection: ReadConnection, dag_name: str, visibility: Visibility, least: int) -> bool:
    rank = dag_access.get_rank(connection, dag_name, visibility)
    return rank is not None and rank >= least
