"""The types of steps that a definition may name, and what carries them out."""

from __future__ import annotations

from dagbook.executors import registry
from dagbook.spec.build.calls import EXECUTOR_TYPES


def test_the_format_knows_the_types_that_something_carries_out_or_names() -> None:
    known = registry.COMMAND_TYPES | registry.CALL_TYPES | registry._UNSUPPORTED | set(registry._TYPES)

    assert known == EXECUTOR_TYPES
