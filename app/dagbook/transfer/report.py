"""The reports of imports and exports: counts, and every finding by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

Kind = Literal["definition", "base", "suspend", "user", "setting", "run", "log", "access", "webhook", "trigger"]
Outcome = Literal["left_out", "differing", "changed", "imported"]
MOST_FINDINGS = 10_000
_LONGEST, _LONGEST_PATH = 300, 4_096


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What is not imported as it is: left out, there already but different, or changed on the way; and new users."""

    kind: Kind
    name: str
    outcome: Outcome
    reason: str
    file: str = ""


class Counts(msgspec.Struct, kw_only=True, rename="camel"):
    """How many there are of one kind, and what became of them; of a dry run, what would."""

    found: int = 0
    imported: int = 0
    present: int = 0  # there already, and equal
    differing: int = 0
    left_out: int = 0

    def add(self, outcome: Outcome | None) -> None:
        """Count what became of one, None if the same one was there already."""
        match outcome:
            case "imported" | "changed":
                self.imported += 1
            case "differing":
                self.differing += 1
            case "left_out":
                self.left_out += 1
            case None:
                self.present += 1


class Stored(msgspec.Struct, kw_only=True, rename="camel"):
    """What the imported runs have."""

    sub_runs: int = 0
    attempts: int = 0
    steps: int = 0
    log_bytes: int = 0


class TranslatedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the configuration file, and the setting that it becomes; why it is none if ``setting`` is empty."""

    key: str
    setting: str = ""
    reason: str = ""


class SettingsReport(msgspec.Struct, frozen=True, kw_only=True):
    """A settings file that is ready to save, without secrets, and what became of each key."""

    text: str = ""
    keys: tuple[TranslatedSetting, ...] = ()


class TransferReport(msgspec.Struct, kw_only=True, rename="camel"):
    """What imports and exports report; docs/how-to/import.md describes its JSON."""

    database: str
    dry_run: bool = False
    definitions: Counts = msgspec.field(default_factory=Counts)
    base: Counts = msgspec.field(default_factory=Counts)
    suspended: Counts = msgspec.field(default_factory=Counts)
    runs: Counts = msgspec.field(default_factory=Counts)
    stored: Stored = msgspec.field(default_factory=Stored)
    findings: list[Finding] = []
    more_findings: int = 0

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings, up to a limit; further ones are counted."""
        for finding in findings:
            if len(self.findings) >= MOST_FINDINGS:
                self.more_findings += 1
            else:
                name, reason, file = finding.name[:_LONGEST], finding.reason[:_LONGEST], finding.file[:_LONGEST_PATH]
                self.findings.append(msgspec.structs.replace(finding, name=name, reason=reason, file=file))

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out, and nothing differs."""
        return not self.more_findings and all(one.outcome in ("changed", "imported") for one in self.findings)


class Report(TransferReport, kw_only=True, rename="camel"):
    """The report of an import."""

    source: str
    users: Counts = msgspec.field(default_factory=Counts)
    webhooks: Counts = msgspec.field(default_factory=Counts)
    expired_runs: int = 0  # imported, but older than the retention of this server
    settings: SettingsReport = SettingsReport()


class ExportReport(TransferReport, kw_only=True, rename="camel"):
    """The report of an export, whose ``imported`` are the exported ones."""

    target: str
