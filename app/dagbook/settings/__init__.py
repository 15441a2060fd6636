"""Settings: read once from defaults, file, environment and flags, then passed down as one frozen struct."""

from __future__ import annotations

from dagbook.settings.definitions import TABLE, Setting
from dagbook.settings.read import Settings, read
from dagbook.settings.types import SettingsError

__all__ = [
    "TABLE",
    "Setting",
    "Settings",
    "SettingsError",
    "dag_sources",
    "dagu",
    "database_url",
    "definitions",
    "nodes",
    "open_files",
    "read",
    "types",
]
