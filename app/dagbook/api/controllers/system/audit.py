"""Audit entries, for admins. An extension of the contract."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec.structs import replace

from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.fields import instant_text, or_unset
from dagbook.api.routes import get, permission, post
from dagbook.api.schemas.maintenance import AuditEntries, AuditEntry, AuditSeal, PruneAudit, PrunedAudit
from dagbook.api.services import SystemServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import AuditFilter, AuditRow
from dagbook.errors import BadRequestError
from dagbook.json_values import Json

Services = NamedDependency[SystemServices]

_MAX_LIMIT, _LAST_ID = 1000, 2**63 - 1


def _entry(row: AuditRow[dict[str, Json]]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=instant_text(row.at),
        via=row.via,
        action=row.action,
        kind=row.kind,
        object=row.name,
        outcome=row.outcome,
        actor=or_unset(row.actor),
        user_id=or_unset(row.user_id),
        token_id=or_unset(row.token_id),
        token_name=or_unset(row.token_name),
        address=or_unset(row.address),
        request_id=or_unset(row.request_id),
        before=or_unset(row.before),
        after=or_unset(row.after),
    )


class AuditController(Controller):
    path = "/audit"
    opt = permission(Requires.AUDIT)
    dependencies = provide_services(SystemServices)

    @get("", "listAuditEntries")
    async def list_entries(
        self,
        services: Services,
        audit_filter: NamedDependency[AuditFilter],
        limit: parameters.AuditLimit = 100,
        before: parameters.BeforeEntry = None,
    ) -> AuditEntries:
        """List audited actions and refusals, newest first; with ``before`` those older than that entry."""
        if not 1 <= limit <= _MAX_LIMIT:
            raise BadRequestError(f"limit: must be from 1 to {_MAX_LIMIT}, and is {limit}")
        if before is not None and not 1 <= before <= _LAST_ID:
            raise BadRequestError(f"before: {before} is not the id of an entry")
        filter_ = replace(audit_filter, before=before)
        rows, seal = await services.database.read(
            lambda connection: (audit.find(connection, filter_, limit + 1), audit.get_last_seal(connection))
        )
        entries = [_entry(row) for row in rows[:limit]]
        page = AuditEntries(entries=entries, sealed_up_to=seal.last_id if seal else 0)
        if len(rows) > limit:
            page.next_before = entries[-1].id
        if seal:
            page.seal = AuditSeal(number=seal.number, hash=seal.hash, sealed_at=instant_text(seal.sealed_at))
        return page

    @post("/prune", "pruneAudit", Requires.AUDIT, Action.AUDIT_PRUNE, fresh=True)
    async def prune(self, data: JSONBody[PruneAudit], services: Services, caller: CurrentCaller) -> PrunedAudit:
        """Delete old entries permanently, or with ``dryRun`` count them.

        The seals over deleted entries are kept, so that the rest can still be verified.
        """
        before = parameters.read_instant("before", data.before)
        pruning = services.audit_pruning
        done = await (pruning.preview(before) if data.dry_run else pruning.prune(before, caller.actor))
        return PrunedAudit(entries=done.entries, up_to=done.up_to, dry_run=data.dry_run)
