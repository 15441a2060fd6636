"""Settings: read once from defaults, file, environment and flags, then passed down as one struct."""

from __future__ import annotations

from dagbook.settings.definitions import TABLE, Setting, Settings
from dagbook.settings.read import read
from dagbook.settings.readers import SettingsError

__all__ = [
    "TABLE",
    "Setting",
    "Settings",
    "SettingsError",
    "alerts",
    "dag_sources",
    "dagu",
    "database_url",
    "definitions",
    "nodes",
    "open_files",
    "read",
    "readers",
    "secret_commands",
]
