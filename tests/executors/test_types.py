"""The types of steps that a definition may name, and what carries them out."""

from __future__ import annotations

import subprocess
import sys

from dagbook.executors import registry
from dagbook.spec.build.calls import EXECUTOR_TYPES
from dagbook.spec.model import HITL


def test_the_format_knows_the_types_that_something_carries_out_or_names() -> None:
    known = registry.COMMAND_TYPES | registry.CALL_TYPES | registry._UNSUPPORTED | set(registry._TYPES)
    assert known | {registry._CHAT, HITL} == EXECUTOR_TYPES


def test_a_server_loads_no_library_that_it_needs_for_some_steps_before_it_does() -> None:
    program = "import sys, dagbook.main.http, dagbook.main.wiring; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"aiodocker", "asyncssh", "lz4", "markdown_it", "pgqueuer", "py7zr"} & set(loaded) == set()
    assert "litestar" in loaded
