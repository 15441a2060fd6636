"""What an import reads, wherever it is: a home directory (``home``) or a server (``remote``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from dagbook.transfer.conversion.converter import SourceRun
from dagbook.transfer.layout import UserRecord, WebhookRecord
from dagbook.transfer.report import Finding


class TransferError(Exception):
    """An import or export that cannot be done at all, with the fix."""


class FoundDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition file: its name without extension, its text and where it is."""

    name: str
    text: str
    file: str
    suspended: bool = False


class FoundUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user and the file with it."""

    record: UserRecord
    file: str


class FoundWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook and the file with it."""

    record: WebhookRecord
    file: str


class FoundRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run, None if it cannot be read, and what is wrong with it or parts of it."""

    run: SourceRun | None
    findings: tuple[Finding, ...] = ()
    is_run: bool = True  # false for findings that are not about one run


class Source(Protocol):
    """Everything that can be imported. Reading never fails as a whole: what cannot be read is a finding."""

    @property
    def name(self) -> str:
        """Path or address, for reports."""

    @property
    def dag_folder(self) -> str:
        """Name of the folder of definitions."""

    @property
    def untold_handlers(self) -> frozenset[int]:
        """Handlers of which no run tells whether it has them."""

    def read_definitions(self) -> tuple[list[FoundDefinition], list[Finding]]:
        """Return the definitions, by name."""

    def read_base(self) -> tuple[str, list[Finding]]:
        """Return the text of the base configuration, empty without one."""

    def read_users(self) -> tuple[list[FoundUser], list[Finding]]:
        """Return the users of the builtin authentication, and what else of access is left behind."""

    def read_webhooks(self) -> tuple[list[FoundWebhook], list[Finding]]:
        """Return the webhooks of DAGs."""

    def read_config(self) -> tuple[Mapping[str, object], list[Finding]]:
        """Return the configuration file as a map, empty without one."""

    def count_runs(self) -> int:
        """Count the root runs, without reading them."""

    def read_runs(self) -> Iterable[FoundRun]:
        """Yield the root runs, oldest first."""

    def find_log(self, reference: str, folder: Path) -> tuple[Path | None, str]:
        """Return a file with the output that a record names, or None and why there is none.

        A source without files makes one in ``folder``.
        """

    def close(self) -> None:
        """Free connections and temporary files."""
