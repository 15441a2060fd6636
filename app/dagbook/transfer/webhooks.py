"""Writing of imported webhooks: each becomes a trigger of the same name, so that its senders keep path and token."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from dagbook.db.repositories import dags
from dagbook.db.repositories.triggers import triggers
from dagbook.db.repositories.triggers.triggers import TriggerRow
from dagbook.errors import AppError
from dagbook.transfer.definitions import HIGHEST_COST, ImportContext, find_cost
from dagbook.transfer.layout import WebhookRecord
from dagbook.transfer.report import Counts, Finding, Outcome
from dagbook.transfer.source import FoundWebhook
from dagbook.triggers.requests import NewTrigger
from dagbook.triggers.service import TOKEN, Triggers

_NO_HASH = (
    f"its token is not a bcrypt hash that can be used here, of a cost up to {HIGHEST_COST}; make a new one with "
    f"`dagbook triggers add NAME --dag DAG --webhook {TOKEN}`"
)
_DIFFERS = (
    "here a trigger of this name has another token or DAG, and is not changed; `dagbook triggers remove NAME` removes "
    "it, and a repeated import stores this one"
)
_DISABLED = (
    "it is disabled there, so the trigger is paused: what is sent to it waits, and starts with `dagbook triggers "
    "resume NAME`, unless that has --discard"
)


class WebhookImport:
    """Imports webhooks, whose DAGs are here, or would be after a dry run."""

    def __init__(self, context: ImportContext, known: Triggers | None, new_dags: Collection[str]) -> None:
        self._context = context
        self._known = known
        self._new_dags = new_dags

    async def store(self, found: Sequence[FoundWebhook], counts: Counts) -> list[Finding]:
        """Store webhooks, and count them; returns what becomes of each, since its token can start runs here."""
        findings = list[Finding]()
        for webhook in found:
            outcome, reason = await self._store(webhook.record)
            counts.add(outcome)
            if outcome is not None:
                name = webhook.record.dag_name
                findings.append(Finding(kind="webhook", name=name, outcome=outcome, reason=reason, file=webhook.file))
        return findings

    async def _store(self, record: WebhookRecord) -> tuple[Outcome | None, str]:
        """Store a webhook that is not here; returns what was done and why, None if the same one is here."""
        name, database = record.dag_name, self._context.database
        cost = find_cost(record.token_hash)
        if cost is None or cost > HIGHEST_COST:
            return "left_out", _NO_HASH
        dag = row = None
        if database is not None:
            dag = await database.read(partial(dags.get, file_name=name))
            row = await database.read(partial(triggers.get, name=name))
        if dag is None and not (self._context.dry_run and name in self._new_dags):
            return "left_out", "there is no DAG of this name here"
        try:
            if row is not None:
                return self._compare(row, record)
            if dag is not None and self._known is not None and not self._context.dry_run:
                new, actor = NewTrigger(name=name, dag=name, scheme=TOKEN), self._context.actor
                await self._known.add(new, dag, actor, hashed=record.token_hash, is_paused=not record.enabled)
        except AppError as error:
            return "left_out", error.message
        return ("imported", "a trigger; its path and its token stay") if record.enabled else ("changed", _DISABLED)

    def _compare(self, row: TriggerRow, record: WebhookRecord) -> tuple[Outcome | None, str]:
        """Return whether a trigger is that of a webhook, with its token."""
        known = list[str]()
        if self._known is not None and row.file_name == record.dag_name and row.scheme == TOKEN:
            known = [secret.partition(" ")[0] for secret in self._known.open_secrets(row)]
        return (None, "") if record.token_hash in known else ("differing", _DIFFERS)
