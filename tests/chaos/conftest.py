"""The databases of the tests with real servers."""

from __future__ import annotations

from tests.process.conftest import cluster, make_url, migrated_file

__all__ = ["cluster", "make_url", "migrated_file"]
