"""What a caller may do: by the scopes of its token, its role, and for single DAGs its grants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from dagbook.accounts.auth_setup import AuthServices
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import GRANTABLE, Requires, Scope, Switches, lower_role, refusal, scope_of
from dagbook.db.database import ReadConnection
from dagbook.db.repositories.accounts import dag_access
from dagbook.errors import ForbiddenError, NotFoundError
from dagbook.identifiers import shorten


def refusal_of(switches: Switches, caller: Caller, requires: Requires, *, changes: bool = False) -> str:
    """Return why a caller is not permitted, by the scopes of its token or its role, or an empty text."""
    scope = scope_of(requires, changes=changes)
    if caller.scopes is not None and scope not in caller.scopes:
        return f"this token may not do this; it requires the scope {scope}"
    reason = refusal(requires, caller.role, switches)
    is_unscoped = caller.via == "personal" and caller.scopes is None and scope is Scope.ADMIN
    return f"{reason}, and a token that names the scope {scope}" if reason and is_unscoped else reason


async def find_permitted(
    auth: AuthServices, caller: Caller, names: Iterable[str], *permissions: Requires
) -> list[set[str]]:
    """Return, for each permission, those of the DAG names for which the caller has it.

    For the rows of a list: the roles of a caller with grants are read in one statement.
    """
    distinct = set(names)
    if not caller.visibility:
        return [set() if refusal_of(auth.switches, caller, each) else distinct for each in permissions]
    roles = await auth.access.roles_for_names(distinct, caller)
    callers = {role: replace(caller, role=role) for role in GRANTABLE}
    permitted = [
        {role for role, each in callers.items() if not refusal_of(auth.switches, each, permission)}
        for permission in permissions
    ]
    return [{name for name, role in roles.items() if role in allowed} for allowed in permitted]


def permission_of(
    auth: AuthServices, caller: Caller, requires: Requires
) -> Callable[[ReadConnection, Collection[str]], Collection[str]]:
    """Return what finds, in a transaction, those of some DAG names for which a caller has a permission.

    Raises ForbiddenError for one that has it for none.
    """
    callers = {role: replace(caller, role=role) if caller.visibility else caller for role in GRANTABLE}
    refusals = {role: refusal_of(auth.switches, each, requires) for role, each in callers.items()}
    if all(refusals.values()):
        raise ForbiddenError(refusals[GRANTABLE[-1]])

    def find(connection: ReadConnection, names: Collection[str]) -> Collection[str]:
        if not caller.visibility:
            return names
        ranks = dag_access.find_ranks(connection, names, caller.visibility)
        return {name for name, rank in ranks.items() if not refusals[lower_role(GRANTABLE[rank], caller.ceiling)]}

    return find


async def require_dag(auth: AuthServices, caller: Caller, dag: str, requires: Requires) -> None:
    """Raise NotFoundError or ForbiddenError unless a caller, whom the guard has let pass, may do this with a DAG."""
    if caller.visibility:
        seen, permitted = await find_permitted(auth, caller, [dag], Requires.READ, requires)
        if not seen:
            raise NotFoundError(f"there is no DAG named {shorten(dag)}")
        if not permitted:
            raise ForbiddenError(
                f"your role for the DAG {shorten(dag)} does not include this; it takes {requires.value}"
            )


async def sees_dag(auth: AuthServices, caller: Caller, dag: str | None) -> bool:
    """Whether a caller sees a DAG; what is not about one is for callers who see all."""
    return not caller.visibility or bool(dag and await auth.access.role_for_name(dag, caller))


def read_despite_pause(auth: AuthServices, caller: Caller, asked: object) -> bool:
    """Return whether a start is asked to ignore the pause of everything; raises ForbiddenError below a manager."""
    if asked and (reason := refusal_of(auth.switches, caller, Requires.SYNC)):
        raise ForbiddenError(f"despitePause: {reason}")
    return bool(asked)
