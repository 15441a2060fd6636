"""Settings: read once from defaults, file, environment and flags, then passed down as one frozen struct."""

from __future__ import annotations

from dagbook.settings.definitions import TABLE, Setting
from dagbook.settings.errors import SettingsError
from dagbook.settings.read import Settings, read

__all__ = ["TABLE", "Setting", "Settings", "SettingsError", "read"]
