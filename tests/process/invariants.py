"""The doctor's findings in a database, whatever its servers went through; there have to be none."""

from __future__ import annotations

from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.maintenance.doctor import Doctor, Examination
from tests.process import store

_GRACE_SECONDS = 180.0  # the default of the setting orphan_grace_seconds


def find_violations(url: str) -> list[str]:
    """Return a sentence for each violation in a database, which servers may be using."""

    async def examine(database: Database) -> list[str]:
        report = await Doctor(database, _GRACE_SECONDS, now).examine(Examination())
        return [*(report.damage or ()), *(sentence for finding in report.findings for sentence in finding.sentences)]

    return store.with_retries(url, examine)
