"""Settings: read once from defaults, file, environment and flags, then passed down as one frozen struct."""

from __future__ import annotations

from app.settings.definitions import TABLE, Setting
from app.settings.errors import SettingsError
from app.settings.read import Settings, read

__all__ = ["TABLE", "Setting", "Settings", "SettingsError", "read"]
