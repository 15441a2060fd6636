"""Settings: read once from defaults, file, environment and flags, then passed down as one frozen value."""

from __future__ import annotations

from app.settings.problem import SettingsError
from app.settings.read import Settings, read
from app.settings.table import TABLE, Setting

__all__ = ["TABLE", "Setting", "Settings", "SettingsError", "read"]
