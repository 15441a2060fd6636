"""Which files the web UI serves."""

from __future__ import annotations

from dagbook.web import files


def test_the_types_of_the_scripts_are_for_checks_and_are_not_served() -> None:
    assert list(files.STATIC.rglob("*.d.ts")), "the bundles have types"
    assert not [name for name in files.known() if name.endswith(".ts")]
