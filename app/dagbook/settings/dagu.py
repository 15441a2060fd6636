"""Settings of Dagu that are ignored here: a server that should ask for logins must not start open unnoticed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from dagbook.settings.definitions import FILE_NAME, PREFIX, Settings

_PREFIX = "DAGU_"
_CONFIG = "config.yaml"

# Setting -> names of Dagu's variable after DAGU_, old spellings last.
_SETTINGS = {
    "home": ("HOME",),
    "database_url": ("DATA_DIR", "_DATA"),
    "host": ("HOST", "_ADMIN_HOST"),
    "port": ("PORT", "_ADMIN_PORT"),
    "base_path": ("BASE_PATH",),
    "tz": ("TZ",),
    "work_dir": ("WORK_DIR",),
    "log_format": ("LOG_FORMAT",),
    "log_level": ("DEBUG",),
    "default_shell": ("DEFAULT_SHELL",),
    "tls_cert_file": ("CERT_FILE",),
    "tls_key_file": ("KEY_FILE",),
    "base_config": ("BASE_CONFIG",),
    "spool_dir": ("LOG_DIR",),
    "log_encoding": ("UI_LOG_ENCODING_CHARSET", "LOG_ENCODING_CHARSET"),
    "lease_seconds": ("SCHEDULER_LOCK_STALE_THRESHOLD",),
    "queues_enabled": ("QUEUE_ENABLED",),
    "monitoring_interval_seconds": ("MONITORING_INTERVAL",),
    "monitoring_retention_seconds": ("MONITORING_RETENTION",),
    "auth_mode": ("AUTH_MODE",),
    "auth_token_secret": ("AUTH_TOKEN_SECRET",),
    "auth_token_ttl_seconds": ("AUTH_TOKEN_TTL",),
    "auth_admin_username": ("AUTH_ADMIN_USERNAME",),
    "auth_admin_password": ("AUTH_ADMIN_PASSWORD",),
    "auth_basic_username": ("AUTH_BASIC_USERNAME", "BASICAUTH_USERNAME"),
    "auth_basic_password": ("AUTH_BASIC_PASSWORD", "BASICAUTH_PASSWORD"),
    "auth_token": ("AUTH_TOKEN", "AUTHTOKEN"),
    "auth_oidc_client_id": ("AUTH_OIDC_CLIENT_ID",),
    "auth_oidc_client_secret": ("AUTH_OIDC_CLIENT_SECRET",),
    "auth_oidc_client_url": ("AUTH_OIDC_CLIENT_URL",),
    "auth_oidc_issuer": ("AUTH_OIDC_ISSUER",),
    "auth_oidc_scopes": ("AUTH_OIDC_SCOPES",),
    "auth_oidc_whitelist": ("AUTH_OIDC_WHITELIST",),
}
_WORKER_OPTIONS = {"WORKER_ID": "--id", "WORKER_LABELS": "--label", "WORKER_MAX_ACTIVE_RUNS": "--max-active-runs"}
# DAGU_SKIP_EXAMPLES is left out: it requests what is always the case here.
_UNSUPPORTED = (
    *("API_BASE_URL", "HEADLESS", "LATEST_STATUS_TODAY", "EXECUTABLE", "DAGS_DIR", "DAGS", "ADMIN_LOG_DIR"),
    *("SUSPEND_FLAGS_DIR", "DAG_RUNS_DIR", "QUEUE_DIR", "PROC_DIR", "SERVICE_REGISTRY_DIR", "USERS_DIR"),
    *("UI_NAVBAR_TITLE", "NAVBAR_TITLE", "UI_NAVBAR_COLOR", "NAVBAR_COLOR", "UI_MAX_DASHBOARD_PAGE_LIMIT"),
    *("MAX_DASHBOARD_PAGE_LIMIT", "UI_DAGS_SORT_FIELD", "UI_DAGS_SORT_ORDER", "SCHEDULER_PORT"),
    *("SCHEDULER_LOCK_RETRY_INTERVAL", "SCHEDULER_ZOMBIE_DETECTION_INTERVAL"),
    *("COORDINATOR_HOST", "COORDINATOR_ADVERTISE", "COORDINATOR_PORT", "PEER_INSECURE", "PEER_CERT_FILE"),
    *("PEER_KEY_FILE", "PEER_CLIENT_CA_FILE", "PEER_SKIP_TLS_VERIFY"),
    *("_ADMIN_NAVBAR_COLOR", "_ADMIN_NAVBAR_TITLE", "_SUSPEND_FLAGS_DIR", "_ADMIN_LOGS_DIR"),
)


def find_ignored(settings: Settings, environ: Mapping[str, str], *, has_own_file: bool) -> list[str]:
    """Describe the variables and the file of Dagu that are present and ignored, with Dagbook's equivalent.

    A variable whose setting is given is left out, and so is the file if a settings file is read.
    """
    variables = [text for name, text in _descriptions(settings) if environ.get(_PREFIX + name)]
    file = None if has_own_file else _find_file(environ)
    if file is not None:
        variables.append(f"{file} is not read: Dagbook's is {settings.home / FILE_NAME}")
    return variables


def _descriptions(settings: Settings) -> Iterator[tuple[str, str]]:
    for ours, theirs in _SETTINGS.items():
        for name in theirs if settings.origins[ours] == "default" else ():
            yield name, f"{_PREFIX}{name} is set: Dagbook's is {PREFIX}{ours.upper()}"
    for name, option in _WORKER_OPTIONS.items():
        yield name, f"{_PREFIX}{name} is set: Dagbook's is the option {option} of dagbook worker"
    for name in _UNSUPPORTED:
        yield name, f"{_PREFIX}{name} is set: Dagbook has no such setting"


def _find_file(environ: Mapping[str, str]) -> str | None:
    """Return the file that Dagu would read."""
    if home := environ.get(f"{_PREFIX}HOME"):
        folders = [home]
    else:
        configs = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - never an error
        folders = [os.path.expanduser("~/.dagu"), os.path.join(configs, "dagu")]  # noqa: PTH111, PTH118
    files = (os.path.join(folder, _CONFIG) for folder in folders)  # noqa: PTH118
    return next((file for file in files if os.path.isfile(file)), None)  # noqa: PTH113 - pathlib's raises errors
