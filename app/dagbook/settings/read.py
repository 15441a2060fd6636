"""Reading the settings into one frozen struct."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from dagbook.settings import database_url
from dagbook.settings.dag_sources import ConfiguredSource
from dagbook.settings.definitions import FILE_NAME, HOME, KEY_FILE, LOCALE_ENCODING, SYSTEM_ZONE, TABLE, Setting
from dagbook.settings.nodes import RemoteNode
from dagbook.settings.sources import Given, from_environment, from_file, from_flags
from dagbook.settings.types import Network, SettingsError, locale_encoding, system_zone


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of this process, as in ``dagbook.settings.definitions``, and the origin of each."""

    home: Path
    database_url: str
    database_schema: str
    host: str
    port: int
    socket: Path | None
    socket_mode: str
    base_path: str
    public_url: str
    tz: ZoneInfo
    work_dir: Path
    log_format: str
    log_level: str
    request_log: str
    default_shell: str
    run_as: str
    allowed_hosts: tuple[str, ...]
    cors_origins: tuple[str, ...]
    tls_cert_file: Path | None
    tls_key_file: Path | None
    tls_key_password: str
    trusted_proxies: tuple[Network, ...]
    max_connections: int
    max_connections_per_address: int
    remote_nodes: tuple[RemoteNode, ...]
    egress_deny: tuple[str, ...]
    base_config: Path
    sources: tuple[ConfiguredSource, ...]
    source_dir: Path
    source_fetch_seconds: float
    source_protocols: tuple[str, ...]
    source_remove_days: int
    spool_dir: Path
    secret_key: str
    secret_env_allow: tuple[str, ...]
    secret_file_dirs: tuple[Path, ...]
    max_body_bytes: int
    log_limit_bytes: int
    log_encoding: str
    orphan_grace_seconds: float
    lease_seconds: float
    detach_lease_seconds: float
    queues: Mapping[str, int]
    queues_enabled: bool
    ignore_worker_selector: bool
    scheduler_enabled: bool
    monitoring_interval_seconds: float
    monitoring_retention_seconds: float
    event_streams: int
    event_streams_per_caller: int
    changes_retention_seconds: float
    retention_days: int
    retention_runs: int
    retention_bytes: int
    retention_total_runs: int
    retention_total_bytes: int
    retention_interval_seconds: float
    upgrade_copy_days: int
    audit_keep_days: int
    audit_copy: Path | None
    evaluation_timeout_seconds: float
    evaluate_caller_values: bool
    undeclared_params: str
    ssh_strict_host_key: str
    ssh_known_hosts: Path | None
    auth_mode: str
    auth_token_secret: str
    auth_token_ttl_seconds: float
    auth_session_idle_seconds: int
    auth_fresh_login_seconds: int
    auth_personal_token_days: int
    auth_admin_username: str
    auth_admin_password: str
    auth_bcrypt_cost: int
    auth_login_failures: int
    auth_login_failures_per_address: int
    auth_login_window_seconds: float
    auth_logins_per_minute: int
    auth_basic_username: str
    auth_basic_password: str
    auth_token: str
    auth_oidc_client_id: str
    auth_oidc_client_secret: str
    auth_oidc_client_url: str
    auth_oidc_issuer: str
    auth_oidc_scopes: tuple[str, ...]
    auth_oidc_whitelist: tuple[str, ...]
    auth_oidc_roles: tuple[str, ...]
    auth_oidc_default_role: str
    auth_oidc_default_scope: str
    auth_oidc_allow_everybody: bool
    auth_oidc_trust_unverified: bool
    permissions_write_dags: bool
    permissions_run_dags: bool
    inline_runs_need_write: bool
    bare_saves: bool
    metrics: str
    metrics_token: str
    insecure: bool
    origins: Mapping[str, str]
    credential_variables: frozenset[str] = frozenset()  # that the server's credentials came from
    credential_files: tuple[Path, ...] = ()  # that contain them, whether they exist or not


def read(argv_flags: Mapping[str, str], environ: Mapping[str, str], home_default: Path) -> Settings:
    """Read the settings; later sources override earlier ones: default, file, variable, flag.

    Flags are given by the name of their setting; ``config`` names the file to read instead of ``dagbook.yaml`` in the
    home. Raises ``SettingsError`` for the first unknown name or invalid value.
    """
    here = Path.cwd()
    flags = {name: text for name, text in argv_flags.items() if name != "config"}
    direct = from_environment(environ, here) | from_flags(flags, here)
    config = argv_flags.get("config") or environ.get("DAGBOOK_CONFIG")
    usual_file = _home(direct, home_default) / FILE_NAME
    file = Path(config).expanduser() if config else usual_file
    given = (from_file(file, environ) if config or file.exists() else {}) | direct
    home = _home(given, home_default)
    values: dict[str, Any] = {}
    for setting in TABLE:
        if setting.name not in given:
            text = str(home) if setting.name == "home" else setting.default.replace(HOME, str(home))
            detect = {SYSTEM_ZONE: system_zone, LOCALE_ENCODING: locale_encoding}.get(text)
            given[setting.name] = Given(detect(environ) if detect else text, "default", home)
        values[setting.name] = _parse(setting, given[setting.name])
    origins = {setting.name: given[setting.name].origin for setting in TABLE}
    of_sources = (source.credentials for source in values["sources"])
    own_files = (file, home / KEY_FILE, values["tls_key_file"], *(value.file for value in given.values()), *of_sources)
    return Settings(
        **values,
        origins=origins,
        credential_variables=frozenset(_credential_variables(given, values, environ)),
        credential_files=(*filter(None, own_files), *database_url.files(values["database_url"])),
    )


def _credential_variables(
    given: Mapping[str, Given], values: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[str]:
    """Return the variables that a credential came from: of an address those of its password, not that of its host."""
    for setting in TABLE:
        if not setting.kind.is_credential:
            continue
        if setting.variable in environ:
            yield setting.variable
        displayed = str(setting.kind.display(values[setting.name]))
        yield from (name for name in given[setting.name].references if environ[name] not in displayed)


def _home(given: Mapping[str, Given], home_default: Path) -> Path:
    found = given.get("home") or Given(str(home_default), "default", Path.cwd())
    home = Path(str(_parse(TABLE[0], found)))
    if home.is_file():
        raise SettingsError("home", found.origin, f"{home} is a file; name a directory, which is made if it is missing")
    return home


def _parse(setting: Setting, given: Given) -> object:
    try:
        return setting.kind.read(given.raw, given.folder)
    except ValueError as error:
        raise SettingsError(setting.name, given.origin, str(error)) from None
