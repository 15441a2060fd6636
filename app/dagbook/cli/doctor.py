"""``dagbook doctor``: consistency checks of the database, read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import click
import msgspec

from dagbook.api.presenters.doctor import doctor_report
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, current_settings, settings_options
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.migrations.upgrade import require_head
from dagbook.maintenance.doctor.doctor import Doctor, Examination, Finding, Report
from dagbook.settings import Settings

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_UNIT = 1024


@click.command(cls=GlobalOptions)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quick", is_flag=True, help="On SQLite, check the file without its indexes: quick_check.")
@settings_options("database_url", "orphan_grace_seconds")
@friendly_errors
def doctor(*, as_json: bool, quick: bool) -> int:
    """Check the consistency of the rows and of the database itself; exit status 1 when a check fails.

    Nothing is changed, and servers may keep running. `dagbook db check` compares tables and triggers with those of
    this version.
    """
    report = asyncio.run(_examine(current_settings(), Examination(quick=quick)))
    for line in [msgspec.json.encode(doctor_report(report)).decode()] if as_json else _lines(report):
        click.echo(line)
    return 0 if report.is_healthy else 1


async def _examine(settings: Settings, examination: Examination) -> Report:
    await require_head(settings.database_url, schema=settings.database_schema)
    database = await Database.open(
        settings.database_url, schema=settings.database_schema, application="dagbook doctor", pool_size=1
    )
    try:
        return await Doctor(database, settings.orphan_grace_seconds, now).examine(examination)
    finally:
        await database.close()


def _lines(report: Report) -> Iterator[str]:
    for finding in report.findings:
        yield from _of_finding(finding)
    yield ""
    storage = report.storage
    for use in storage.tables:
        yield f"{use.name:16} {use.rows:>12,} rows {format_bytes(use.size):>12}"
    free = "" if storage.free is None else f", of which {format_bytes(storage.free)} are free"
    yield f"{format_bytes(storage.size)} in all{free}"
    yield ""
    for complaint in report.damage or ():
        yield f"the database reports: {complaint}"
    if not report.damage:
        yield "the database reports no damage"
    broken = [finding for finding in report.findings if finding.count]
    yield f"{len(report.findings)} checks, {len(broken) or 'none'} of them broken"


def _of_finding(finding: Finding) -> Iterator[str]:
    if not finding.count:
        yield f"ok      {finding.name}: {finding.holds}"
        return
    yield f"BROKEN  {finding.name}: {finding.holds} Rows where it does not: {finding.count}"
    for row in finding.rows:
        yield "        " + " ".join(f"{name}={value}" for name, value in row.items())


def format_bytes(size: float) -> str:
    """Format a size in binary units, for example 1.5 MiB."""
    unit = 0
    while size >= _UNIT and unit < len(_UNITS) - 1:
        size, unit = size / _UNIT, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"
