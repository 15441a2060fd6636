"""Who may do what with rules and alerts: admins with all, others with those of DAGs by their role there."""

from __future__ import annotations

from collections.abc import Iterable

from dagbook.accounts.auth_setup import AuthServices
from dagbook.accounts.rights import find_permitted, refusal_of
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.db.repositories.alerts.rules import RuleRow
from dagbook.errors import ForbiddenError, NotFoundError
from dagbook.identifiers import shorten


def is_admin(auth: AuthServices, caller: Caller) -> bool:
    """Whether a caller may change channels, and sees their addresses and what receivers have answered."""
    return not caller.visibility and not refusal_of(auth.switches, caller, Requires.UPKEEP)


async def require_rule(auth: AuthServices, caller: Caller, dag: str) -> None:
    """Raise unless a caller may have a rule for one DAG, or without its name for several; raises AppError."""
    if not dag and not is_admin(auth, caller):
        raise ForbiddenError("a rule for more than one DAG takes an admin; name one DAG that you manage")
    await require_dag(auth, caller, dag, Requires.SYNC)


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


async def find_changeable(auth: AuthServices, caller: Caller, rows: Iterable[RuleRow]) -> set[str]:
    """Return the names of the rules that a caller may change: an admin all, others those for a DAG that they manage."""
    own, admin = [row for row in rows if not row.configured], is_admin(auth, caller)
    (managed,) = await find_permitted(auth, caller, [row.dag_name for row in own if row.dag_name], Requires.SYNC)
    return {row.name for row in own if admin or row.dag_name in managed}


async def sees_dag(auth: AuthServices, caller: Caller, dag: str | None) -> bool:
    """Whether a caller sees a DAG; what is not about one is for callers who see all."""
    return not caller.visibility or bool(dag and await auth.access.role_for_name(dag, caller))
