"""An import from start to end: definitions, webhooks, base configuration, users, settings, then runs in batches."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.repositories import audit
from dagbook.db.repositories.runs import run_import
from dagbook.db.repositories.runs.run_import import ExistingRun
from dagbook.executors.contract import SshPolicy
from dagbook.runs.output.output_follower import StreamOptions
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import HostEnvironment
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.telemetry.metrics import RunMetrics
from dagbook.transfer import settings_report
from dagbook.transfer.conversion.converter import (
    Converted,
    Converter,
    Known,
    SourceRun,
    count_attempts,
    final_status,
    keys_of,
)
from dagbook.transfer.conversion.texts import TextChooser
from dagbook.transfer.definitions import AUTHOR, DefinitionImport, ImportContext, store_base, store_users
from dagbook.transfer.layout import RecordError, read_time
from dagbook.transfer.report import Finding, Report
from dagbook.transfer.source import Source, TransferError
from dagbook.transfer.storing import RunStore
from dagbook.transfer.webhooks import WebhookImport
from dagbook.triggers.looks.looker import Looker
from dagbook.triggers.service import Triggers
from dagbook.unix.unix_accounts import account_name

__all__ = ["ImportOptions", "Progress", "TransferError", "import_from"]

_ROOTS_AT_A_TIME, _NODES_AT_A_TIME = 100, 2_000
_CONTESTED = 100  # keys that are looked at when several runs want one
Progress = Callable[[int, int], None]  # runs done, of how many


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What an import needs of the settings, and its options."""

    base_config: Path
    encrypter: Encrypter
    max_body_bytes: int
    log_limit_bytes: int
    log_encoding: str
    retention_days: int
    dry_run: bool = False
    suspend_all: bool = False
    with_admins: bool = False
    with_runs: bool = True
    secrets: bool = False  # in the text of the settings


async def import_from(
    source: Source, database: Database | None, options: ImportOptions, report: Report, progress: Progress
) -> None:
    """Import a source, and fill in the report as it goes; without a database, everything counts as new.

    Repeating it, or an interrupted one, stores what is missing and nothing twice. Raises DatabaseUnavailable.
    """
    actor = Actor(via="cli", actor=f"{AUTHOR} ({account_name(os.getuid())})")
    context = ImportContext(
        database=database,
        actor=actor,
        at=now(),
        source=source.name,
        dry_run=options.dry_run,
        suspend_all=options.suspend_all,
        with_admins=options.with_admins,
    )
    await _audit(context, Action.IMPORT_START, {})
    library = DefinitionCache()
    users, findings = source.read_users()
    # Who is made a user is told first: reports have limits.
    report.add(await store_users(users, context, report.users))
    report.add(findings)
    definitions, findings = source.read_definitions()
    report.definitions.left_out += sum(finding.kind == "definition" for finding in findings)
    report.definitions.found += report.definitions.left_out
    report.suspended.left_out += sum(finding.kind == "suspend" for finding in findings)
    report.suspended.found += report.suspended.left_out
    report.add(findings)
    stored = await DefinitionImport(context, library).store(definitions, report.definitions, report.suspended)
    report.add(stored)
    lost = {finding.name for finding in stored if finding.outcome == "left_out"}
    await _import_webhooks(source, context, options, report, {each.name for each in definitions} - lost)
    base, findings = source.read_base()
    report.add(findings)
    report.add(store_base(base, options.base_config, report.base, dry_run=options.dry_run))
    config, findings = source.read_config()
    report.add(findings)
    report.settings = settings_report.translate(config, secrets=options.secrets)
    if options.with_runs:
        chooser = TextChooser(library, base, source.untold_handlers)
        await _RunImport(source, context, options, report, chooser).run(progress)
    counts = {name: getattr(report, name).imported for name in ("definitions", "users", "webhooks", "runs")}
    await _audit(context, Action.IMPORT_FINISH, counts | {"complete": report.is_complete})


async def _import_webhooks(
    source: Source, context: ImportContext, options: ImportOptions, report: Report, new_dags: Collection[str]
) -> None:
    webhooks, findings = source.read_webhooks()
    report.webhooks.left_out += len(findings)
    report.webhooks.found += len(webhooks) + len(findings)
    report.add(findings)
    database, known = context.database, None
    if database is not None:
        # Metrics are those of a server, and no trigger of an import looks.
        metrics = RunMetrics(CollectorRegistry())
        looker = Looker(HostEnvironment(environ={}, home="", default_shell=()), SshPolicy(), "")
        known = Triggers(database, options.encrypter, metrics, now, options.max_body_bytes, looker)
    report.add(await WebhookImport(context, known, new_dags).store(webhooks, report.webhooks))


async def _audit(context: ImportContext, action: Action, after: dict[str, object]) -> None:
    if context.writes_to is not None:
        entry = context.actor.entry(AuditAction(action=action, kind="import", name=context.source, after=after), now())
        await context.writes_to.write(audit.add, entry)


class _RunImport:
    """Imports the runs of a source in batches, each root run whole."""

    def __init__(
        self,
        source: Source,
        context: ImportContext,
        options: ImportOptions,
        report: Report,
        chooser: TextChooser,
    ) -> None:
        self._source = source
        self._context = context
        self._report = report
        self._chooser = chooser
        # Nothing is masked: values of secrets are not known here.
        self._output = StreamOptions(limit=options.log_limit_bytes, masker=Masker(()), encoding=options.log_encoding)
        days = options.retention_days
        self._expired_before = context.at - timedelta(days=days) if days >= 0 else None

    async def run(self, progress: Progress) -> None:
        database, report = self._context.database, self._report
        revisions = {} if database is None else await database.read(run_import.find_revisions)
        converter = Converter(self._chooser, Known(revisions=revisions, dag_folder=self._source.dag_folder))
        total, done, nodes = self._source.count_runs(), 0, 0
        batch = list[SourceRun]()
        for found in self._source.read_runs():
            report.add(found.findings)
            if found.run is None:
                report.runs.left_out += found.is_run
                report.runs.found += found.is_run
                continue
            batch.append(found.run)
            nodes += sum(len(each.last.status.nodes or ()) for each in (found.run, *found.run.children))
            if len(batch) >= _ROOTS_AT_A_TIME or nodes >= _NODES_AT_A_TIME:
                await self._import(converter, batch)
                done, batch, nodes = done + len(batch), [], 0
                progress(done, total)
        await self._import(converter, batch)
        progress(done + len(batch), total)

    async def _import(self, converter: Converter, batch: Sequence[SourceRun]) -> None:
        counts, database = self._report.runs, self._context.database
        counts.found += len(batch)
        existing: dict[tuple[str, str], ExistingRun] = {}
        if database is not None:
            names = {(run.name, run.run_id) for run in batch}
            existing = await database.read(run_import.find_existing, names)
        new = list[SourceRun]()
        for run in batch:
            known = existing.get((run.name, run.run_id))
            if known is None:
                new.append(run)
            elif reason := _difference(known, run):
                counts.differing += 1
                name = f"{run.name}/{run.run_id}"
                self._report.add([Finding(kind="run", name=name, outcome="differing", reason=reason, file=run.file)])
            else:
                counts.present += 1
        converted = await self._convert_all(converter, new) if new else []
        if self._context.writes_to is None:
            self._count(converted)
            return
        stored = await RunStore(self._context.writes_to, self._source.find_log, self._output).store(converted)
        counts.left_out += len(converted) - len(stored.stored)
        self._report.stored.log_bytes += stored.log_bytes
        self._report.add(stored.findings)
        self._count(stored.stored)

    async def _convert_all(self, converter: Converter, new: Sequence[SourceRun]) -> list[Converted]:
        """Convert new runs, with keys that no run has: they follow from times and names, so two may be equal."""
        wanted = Counter(key for run in new for key in keys_of(run))
        database, taken = self._context.database, set[int]()
        if database is not None:
            taken = await database.read(run_import.find_keys, wanted)
            # Two that want one key get the next ones, which may be taken as well.
            contested = taken | {key for key, number in wanted.items() if number > 1}
            if contested:
                after = {key + step for key in contested for step in range(1, _CONTESTED)}
                taken |= await database.read(run_import.find_keys, after)
        converted = list[Converted]()
        for run in new:
            for each in self._convert(converter, run, taken):
                taken.update(row.run.id for row in each.runs)
                converted.append(each)
        return converted

    def _convert(self, converter: Converter, run: SourceRun, taken: set[int]) -> list[Converted]:
        try:
            converted = converter.convert(run, taken)
        except RecordError as error:
            self._report.runs.left_out += 1
            name = f"{run.name}/{run.run_id}"
            self._report.add([Finding(kind="run", name=name, outcome="left_out", reason=str(error), file=run.file)])
            return []
        name = f"{run.name}/{run.run_id}"
        self._report.add(
            Finding(kind="run", name=name, outcome="left_out", reason=f"a sub-run: {reason}", file=file)
            for file, reason in converted.lost
        )
        self._report.add(
            Finding(kind="run", name=name, outcome="changed", reason=note.removeprefix(f"{name}: "), file=run.file)
            for note in converted.notes
        )
        return [converted]

    def _count(self, converted: Sequence[Converted]) -> None:
        stored = self._report.stored
        self._report.runs.imported += len(converted)
        for each in converted:
            stored.sub_runs += len(each.runs) - 1
            stored.attempts += sum(len(run.attempts) for run in each.runs)
            stored.steps += sum(node.position >= 0 for run in each.runs for node in run.nodes)
            if self._expired_before is not None:
                ended_at = each.runs[0].run.finished_at
                self._report.expired_runs += ended_at is not None and ended_at < self._expired_before


def _difference(known: ExistingRun, run: SourceRun) -> str:
    """Return how a run that is there differs from that of the source; empty if it does not."""
    try:
        status, _ = final_status(run.last.status)
        finished_at = read_time(run.last.status.finished_at, "finishedAt")
    except RecordError as error:
        return str(error)
    attempts = count_attempts(run)
    if known.attempt != attempts:
        return f"its number of attempts differs: here {known.attempt}, there {attempts}"
    if known.status != status:
        return f"here it is {known.status.label}, there {status.label}"
    if finished_at is not None and (known.finished_at is None or known.finished_at < finished_at):
        return "there it ended later than here"
    return ""
