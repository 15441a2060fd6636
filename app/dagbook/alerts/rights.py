"""Who may do what with rules and alerts: admins with all, others with those of DAGs by their role there."""

from __future__ import annotations

from collections.abc import Iterable

from dagbook.accounts.auth_setup import AuthServices
from dagbook.accounts.rights import find_permitted, refusal_of, require_dag
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.db.repositories.alerts.rules import RuleRow
from dagbook.errors import ForbiddenError


def is_admin(auth: AuthServices, caller: Caller) -> bool:
    """Whether a caller may change channels, and sees their addresses and what receivers have answered."""
    return not caller.visibility and not refusal_of(auth.switches, caller, Requires.UPKEEP)


async def require_rule(auth: AuthServices, caller: Caller, dag: str) -> None:
    """Raise unless a caller may have a rule for one DAG, or without its name for several; raises AppError."""
    if not dag and not is_admin(auth, caller):
        raise ForbiddenError("a rule for more than one DAG takes an admin; name one DAG that you manage")
    await require_dag(auth, caller, dag, Requires.SYNC)


async def find_changeable(auth: AuthServices, caller: Caller, rows: Iterable[RuleRow]) -> set[str]:
    """Return the names of the rules that a caller may change: an admin all, others those for a DAG that they manage."""
    own, admin = [row for row in rows if not row.configured], is_admin(auth, caller)
    (managed,) = await find_permitted(auth, caller, [row.dag_name for row in own if row.dag_name], Requires.SYNC)
    return {row.name for row in own if admin or row.dag_name in managed}
