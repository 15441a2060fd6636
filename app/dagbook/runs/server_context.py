"""Server-wide context shared by all runs: identity of the process, host environment, directories and limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import msgspec

from dagbook.db.repositories.services import ServiceProcess, ServiceRow
from dagbook.egress.rules import Egress
from dagbook.engine.admission import QueueConfig
from dagbook.executors.contract import SshPolicy
from dagbook.runs.evaluate import CommandSubstituter
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.settings import Settings
from dagbook.settings.secret_commands import SecretCommand
from dagbook.spec.expansion.scope import credential_values, without_server_settings
from dagbook.spec.params.names import Undeclared
from dagbook.telemetry.metrics import RunMetrics
from dagbook.unix import unix_accounts
from dagbook.unix.unix_accounts import AccountError

VAULT = "vault"  # a provider of secrets


class ServerIdentity(ServiceProcess, frozen=True, kw_only=True):
    """Unique identity of a server process."""

    @property
    def host_key(self) -> str:
        """Boot id and PID namespace, in which the process numbers of a run are valid."""
        return f"{self.boot_id}:{self.pid_namespace}"

    def registered(self, at: datetime, lease_seconds: float) -> ServiceRow:
        """Return the row of the process, with its first lease."""
        lease_until = at + timedelta(seconds=lease_seconds)
        return ServiceRow(**msgspec.structs.asdict(self), started_at=at, heartbeat_at=at, lease_until=lease_until)


class VaultAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Where secrets of the provider ``vault`` are, and how this server logs in; each a setting ``vault_…``."""

    address: str
    namespace: str = ""
    token: str = ""
    token_path: Path | None = None
    role_id: str = ""
    secret_id: str = ""
    kubernetes_role: str = ""
    kubernetes_token_path: Path | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> VaultAccess | None:
        """Return what the settings say; None without an address."""
        values = {name: getattr(settings, f"vault_{name}") for name in cls.__struct_fields__}
        return cls(**values) if settings.vault_address else None


class SecretSources(msgspec.Struct, frozen=True, kw_only=True):
    """What the providers of secrets may read of this machine.

    ``variables`` are patterns of the server's variables; ``directories`` contain the files, None stands for all;
    ``own_files`` contain credentials of the server, and no provider reads them. ``commands`` are providers themselves.
    """

    variables: tuple[str, ...] = ("*",)
    directories: tuple[Path, ...] | None = None
    own_files: tuple[Path, ...] = ()
    commands: tuple[SecretCommand, ...] = ()
    vault: VaultAccess | None = None

    @property
    def asked(self) -> frozenset[str]:
        """The providers that are asked outside of this process, hence only after the run is stored."""
        return frozenset([*(command.name for command in self.commands), *([VAULT] if self.vault else [])])


class HostEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """Host environment of runs."""

    environ: Mapping[str, str]
    home: str
    default_shell: tuple[str, ...]
    encoding: str = "utf-8"  # of the output of programs
    substitute: CommandSubstituter | None = None  # replaces the execution of command substitutions
    secret_sources: SecretSources = SecretSources()
    credentials: tuple[str, ...] = ()  # values of the server that every run masks
    egress: Egress = Egress()  # of HTTP requests
    undeclared_params: Undeclared = Undeclared.VARIABLES
    account: str = ""  # under which commands run and files of definitions are opened; "": that of the server

    @classmethod
    def current(cls, settings: Settings) -> HostEnvironment:
        """Read the environment of this process; ``default_shell`` of the settings goes before its ``SHELL``."""
        environ = {
            name: value
            for name, value in without_server_settings(os.environ).items()
            if name not in settings.credential_variables
        }
        return cls(
            environ=environ,
            home=str(Path.home()),
            default_shell=(settings.default_shell or os.environ.get("SHELL") or "/bin/sh",),
            encoding=settings.log_encoding,
            secret_sources=SecretSources(
                variables=settings.secret_env_allow,
                directories=settings.secret_file_dirs or None,
                own_files=settings.credential_files,
                commands=settings.secret_commands,
                vault=VaultAccess.of(settings),
            ),
            credentials=credential_values(environ),
            egress=Egress(settings.egress_deny),
            undeclared_params=Undeclared(settings.undeclared_params),
            account=settings.run_as,
        )

    def for_run(self, base: Mapping[str, str] | None, account: str | None) -> HostEnvironment:
        """Return the environment of a run: a sub-run has one from its caller, and a DAG may have its own account."""
        environ, name = self.environ if base is None else base, account or self.account
        if not name:
            return msgspec.structs.replace(self, environ=environ)
        try:
            found = unix_accounts.find(name)
        except AccountError:  # it is reported where something has to run under it
            return msgspec.structs.replace(self, environ=environ, account=name)
        environ = {**environ, **found.variables}
        return msgspec.structs.replace(self, environ=environ, home=found.home, account=name)

    def may_enter(self, directory: Path) -> bool:
        """Whether the account may use files below a directory; True without an account, or if that is missing."""
        try:
            return not self.account or unix_accounts.may_enter(directory, self.account)
        except AccountError:  # it is reported where something has to run under it
            return True


class ServerContext(msgspec.Struct, frozen=True, kw_only=True):
    """Settings and services shared by all runs of this server; durations in seconds, sizes in bytes."""

    identity: ServerIdentity
    machine: HostEnvironment
    spool: Path
    work_dir: Path
    base_config: Path
    log_limit: int
    evaluation_limit_seconds: float
    evaluate_caller_values: bool = False
    has_users: bool = False  # auth_mode builtin: the rights of authors count for the calls of scheduled runs
    lease_seconds: float
    detached_lease_seconds: float
    orphan_grace_seconds: float
    queues: QueueConfig = QueueConfig()
    zone: tzinfo
    public_url: str = ""
    now: Callable[[], datetime]
    encrypter: Encrypter
    ssh_policy: SshPolicy = SshPolicy()
    metrics: RunMetrics

    def work_dir_of(self, machine: HostEnvironment) -> Path:
        """Return the default working directory: the setting, or the home of an account that may not enter that."""
        if machine.may_enter(self.work_dir):
            return self.work_dir
        home = Path(machine.home or "/")
        return home if home.is_dir() else Path("/")

    @property
    def page_base(self) -> str:
        """The address of this server's pages: the public one, else that it listens on, never one of a request."""
        own = self.identity.address
        return self.public_url or (own if own.startswith(("http://", "https://")) else "")

    def read_base_config(self) -> str:
        """Read the current base configuration; empty if there is no such file."""
        try:
            return self.base_config.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
