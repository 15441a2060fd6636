"""Waiting on a condition of another process, with a bound."""

from __future__ import annotations

from app.torture.waiting import wait_for

__all__ = ["wait_for"]
