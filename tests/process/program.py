"""A server with what tests need of it besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.process import processes
from tests.process.server import FINAL, Api, Server

__all__ = ["FINAL", "ROOT", "Api", "Prefixed", "Program", "node"]
ROOT = Path(__file__).parent.parent.parent


class Program(Server):
    def shims(self, step: str = "") -> list[int]:
        """Return the processes that stand before its steps, or before one, those left by servers before it included."""
        found = [pid for pid in processes.with_argument(f"{self.home}/spool") if processes.is_shim(pid)]
        return [pid for pid in found if f"-{step}.".encode() in processes.read(pid, "cmdline")] if step else found


class Prefixed(Program):
    """A server that another program starts, which becomes the server or is its parent."""

    def __init__(
        self, prefix: Sequence[str], home: Path, database_url: str, *, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(home, database_url, settings=settings)
        self._prefix = list(prefix)

    def _command(self) -> list[str]:
        return [*self._prefix, *super()._command()]


def node(run: dict[str, Any], step: str) -> dict[str, Any]:
    """Return a step of a run as the API shows it."""
    found: dict[str, Any] = next(node for node in run["nodes"] if node["step"]["name"] == step)
    return found
