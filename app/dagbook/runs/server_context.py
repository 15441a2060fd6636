"""What all runs of this server stand on: who the server is, its machine, its folders and limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from pathlib import Path

import msgspec

from dagbook.engine.admission import Labels, QueueConfig
from dagbook.runs.evaluate import CommandSubstituter
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.spec.expansion.scope import without_server_settings
from dagbook.telemetry.run_metrics import RunMetrics


class ServerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A server process that cannot be mistaken for another one."""

    id: str
    kind: str
    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    pid_started: int
    address: str
    version: str
    name: str | None = None  # what a worker is called, its labels, and how many runs it takes at a time
    labels: Labels | None = None
    capacity: int | None = None
    spool_id: str | None = None
    spool_dir: str | None = None

    @property
    def host_key(self) -> str:
        """Boot and process numbers: where the processes of a run are to be looked for."""
        return f"{self.boot_id}:{self.pid_namespace}"


class HostEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine gives to runs."""

    environ: Mapping[str, str]
    home: str
    default_shell: tuple[str, ...]
    encoding: str = "utf-8"  # of what programs write
    substitute: CommandSubstituter | None = None  # in place of running the commands inside texts

    @classmethod
    def current(cls, default_shell: str, encoding: str) -> HostEnvironment:
        """Give this machine as the process sees it; its shell unless the settings name one."""
        return cls(
            environ=without_server_settings(os.environ),
            home=str(Path.home()),
            default_shell=(default_shell or os.environ.get("SHELL") or "/bin/sh",),
            encoding=encoding,
        )

    def with_environ(self, base: Mapping[str, str] | None) -> HostEnvironment:
        """Give the machine as a sub-run sees it, with the environment that its caller handed on."""
        return self if base is None else msgspec.structs.replace(self, environ=base)


class ServerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of this server share; durations are in seconds, sizes in bytes."""

    identity: ServerIdentity
    machine: HostEnvironment
    spool: Path
    work_dir: Path
    base_config: Path
    log_limit: int
    evaluation_limit_seconds: float
    lease_seconds: float
    detached_lease_seconds: float
    orphan_grace_seconds: float
    queues: QueueConfig = QueueConfig()
    zone: tzinfo
    now: Callable[[], datetime]
    encrypter: Encrypter
    metrics: RunMetrics

    def read_base_config(self) -> str:
        """Read the base configuration as it is now; empty when there is none."""
        try:
            return self.base_config.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
