"""The doctor's findings in a database, whatever its servers went through; there have to be none."""

from __future__ import annotations

from app.torture.store import find_violations

__all__ = ["find_violations"]
