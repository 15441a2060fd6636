"""Translation of a ``config.yaml`` of Dagu 1.x into the settings of Dagbook. Pure.

Every key is answered: the setting that it becomes, or why it becomes none. Values are checked as the settings check
them, so that the text that is returned can be saved and used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import yaml

from dagbook.settings import TABLE
from dagbook.settings.readers import Raw
from dagbook.transfer.report import SettingsReport, TranslatedSetting

_HEAD = "# Settings of Dagbook, made by `dagbook import` from the config.yaml of Dagu 1.x.\n"
_SECRET = "# {setting}: is a secret, which is not printed; copy the value of {key}, or use --settings-file\n"  # noqa: S105 - a comment
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_KINDS = {setting.name: setting.kind for setting in TABLE}
_MOST_KEYS, _DEPTH = 1_000, 6
_IN_DATABASE = "everything is in the database; `dagbook import` has read it from there"
_NO_SERVICE = "servers and workers meet in the database; there is no such service"
_UI = "the web UI has no such setting"

Value = str | list[str] | dict[str, str]
Translate = Callable[[object], Value]

# Beginnings of keys without a setting, and why; the first that fits counts.
_WITHOUT: Sequence[tuple[str, str]] = (
    ("paths.baseconfig", "Dagbook's is base_config; `dagbook import` copies base.yaml there"),
    ("paths", _IN_DATABASE),
    *((name, _IN_DATABASE) for name in ("dags", "dagsdir", "datadir", "logdir", "suspendflagsdir", "adminlogsdir")),
    (
        "remotenodes",
        "write its nodes as remote_nodes, whose credentials are fields of their own: docs/how-to/operations.md",
    ),
    ("skipexamples", "Dagbook stores no examples unasked"),
    ("apibasepath", "the path of the API is fixed: /api/v2 below base_path"),
    ("apibaseurl", "the path of the API is fixed: /api/v2 below base_path"),
    ("headless", "the web UI is always served"),
    ("lateststatustoday", "the latest run is the latest one, of any day"),
    ("tls.cafile", "it has no meaning for a server"),
    ("isauthtoken", "auth_token alone turns its authentication on"),
    ("isbasicauth", "auth_basic_username and auth_basic_password alone turn their authentication on"),
    ("ui", _UI),
    ("scheduler.lockstalethreshold", "the lease of a server is lease_seconds, 10 by default"),
    ("scheduler", "each server has its own scheduler, which needs no lock and no port"),
    ("worker", "labels and the number of runs are options of `dagbook worker`"),
    ("coordinator", _NO_SERVICE),
    ("peer", _NO_SERVICE),
)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list) or value is None:
        raise ValueError("is not one value")
    return str(value)


def _seconds(value: object) -> str:
    """Translate a Go duration, or a number of seconds."""
    text = _text(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return text
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration")
    return f"{sum(float(number) * _UNITS[unit] for number, unit in parts):.6f}".rstrip("0").rstrip(".")


def _words(value: object) -> list[str]:
    return [_text(item) for item in value] if isinstance(value, list) else [_text(value)]


def _queues(value: object) -> dict[str, str]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("is not a list of queues")
    found = {}
    for item in value:
        named = {str(name).lower(): part for name, part in item.items()}
        limit = named.get("maxactiveruns") or named.get("maxconcurrency") or 1
        found[_text(named.get("name", ""))] = _text(limit)
    return found


# The key in lower case -> setting and translation.
SETTINGS: Mapping[str, tuple[str, Translate]] = {
    "host": ("host", _text),
    "port": ("port", _text),
    "basepath": ("base_path", _text),
    "tz": ("tz", _text),
    "debug": ("log_level", lambda value: "debug" if value is True else "info"),
    "logformat": ("log_format", _text),
    "defaultshell": ("default_shell", _text),
    "workdir": ("work_dir", _text),
    "tls.certfile": ("tls_cert_file", _text),
    "tls.keyfile": ("tls_key_file", _text),
    "permissions.writedags": ("permissions_write_dags", _text),
    "permissionwritedags": ("permissions_write_dags", _text),
    "permissions.rundags": ("permissions_run_dags", _text),
    "permissionrundags": ("permissions_run_dags", _text),
    "auth.mode": ("auth_mode", _text),
    "auth.basic.username": ("auth_basic_username", _text),
    "basicauthusername": ("auth_basic_username", _text),
    "auth.basic.password": ("auth_basic_password", _text),
    "basicauthpassword": ("auth_basic_password", _text),
    "auth.token.value": ("auth_token", _text),
    "authtoken": ("auth_token", _text),
    "auth.oidc.clientid": ("auth_oidc_client_id", _text),
    "auth.oidc.clientsecret": ("auth_oidc_client_secret", _text),
    "auth.oidc.clienturl": ("auth_oidc_client_url", _text),
    "auth.oidc.issuer": ("auth_oidc_issuer", _text),
    "auth.oidc.scopes": ("auth_oidc_scopes", _words),
    "auth.oidc.whitelist": ("auth_oidc_whitelist", _words),
    "auth.builtin.admin.username": ("auth_admin_username", _text),
    "auth.builtin.admin.password": ("auth_admin_password", _text),
    "auth.builtin.token.secret": ("auth_token_secret", _text),
    "auth.builtin.token.ttl": ("auth_token_ttl_seconds", _seconds),
    "ui.logencodingcharset": ("log_encoding", _text),
    "queues.enabled": ("queues_enabled", _text),
    "queues.config": ("queues", _queues),
    "monitoring.retention": ("monitoring_retention_seconds", _seconds),
    "monitoring.interval": ("monitoring_interval_seconds", _seconds),
}


def translate(config: Mapping[str, object], *, secrets: bool = False) -> SettingsReport:
    """Translate a configuration; without ``secrets`` the text has comments in the place of secrets."""
    lines, keys = [], list[TranslatedSetting]()
    taken: set[str] = set()
    for key, value in islice(_leaves(config), _MOST_KEYS):
        if value in (None, "", {}):
            continue
        setting, translation = SETTINGS.get(key.lower(), ("", _text))
        if not setting:
            reasons = (why for start, why in _WITHOUT if f"{key.lower()}.".startswith(f"{start}."))
            keys.append(TranslatedSetting(key=key, reason=next(reasons, "Dagbook has no such setting")))
            continue
        try:
            translated = translation(value)
            raw: Raw = (
                [f"{name}={number}" for name, number in translated.items()]
                if isinstance(translated, dict)
                else translated
            )
            if "${" not in str(raw):  # servers have the variable
                _KINDS[setting].read(raw, Path("/"))
        except ValueError as error:
            hidden = _KINDS[setting].is_secret
            keys.append(TranslatedSetting(key=key, reason=f"{setting}: {'it does not fit' if hidden else error}"))
            continue
        if setting in taken:
            keys.append(TranslatedSetting(key=key, reason=f"{setting} is already given by another key"))
            continue
        taken.add(setting)
        keys.append(TranslatedSetting(key=key, setting=setting))
        is_hidden = _KINDS[setting].is_secret and not secrets
        line = yaml.safe_dump({setting: translated}, allow_unicode=True, default_flow_style=False)
        lines.append(_SECRET.format(setting=setting, key=key) if is_hidden else line)
    return SettingsReport(text=_HEAD + "".join(lines) if lines else "", keys=tuple(keys))


def _leaves(config: Mapping[str, object], prefix: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, object]]:
    """Yield the keys with their values, lazily: maps of aliases have more of them than a reader can wait for."""
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value and depth:
            yield from _leaves({str(below): each for below, each in value.items()}, f"{key}.", depth - 1)
        else:
            yield key, value
