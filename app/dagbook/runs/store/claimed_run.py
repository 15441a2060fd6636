"""Run claimed by this server, with its inputs and lineage."""

from __future__ import annotations

import enum

import msgspec

from dagbook.runs.secrets.masking import Masker
from dagbook.spec.model import Definition, Pair


class RunInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Values evaluated before the run was stored: the same for every step, and after an adoption."""

    params: tuple[Pair, ...] = ()
    env: tuple[Pair, ...] = ()
    dotenv: tuple[Pair, ...] = ()
    work_dir: str
    keep_dir: bool = True  # False: the directory was made for this inline run and is removed at its end
    source_directory: str | None = None  # of the file that the definition came from
    base_environment: dict[str, str] | None = None  # of a sub-run, in place of the server's environment
    secrets: tuple[Pair, ...] = ()
    hidden: tuple[str, ...] = ()  # other secret values to mask: of the caller, or of earlier attempts

    @property
    def to_hide(self) -> tuple[str, ...]:
        """All values to mask."""
        return (*(pair.value for pair in self.secrets), *self.hidden)


class RunLineage(msgspec.Struct, frozen=True, kw_only=True):
    """Position of a run below its callers: keys of root and parent, level 0 for a root."""

    root: int
    parent: int | None = None
    level: int = 0

    def child(self, parent: int) -> RunLineage:
        """Return the lineage of a sub-run of ``parent``."""
        return RunLineage(root=self.root, parent=parent, level=self.level + 1)


class SpoolMatch(enum.Enum):
    """Whether the executions of a run were started in the spool of this server."""

    OWN = enum.auto()  # a missing file proves that it was never written
    OTHER = enum.auto()  # neither existing nor missing files prove anything
    UNKNOWN = enum.auto()  # the owner stored no spool id: existing files are valid, missing ones prove nothing


class AttemptOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Origin of the executions of an adopted run, which decides what this server can find out about them."""

    spool: SpoolMatch = SpoolMatch.OWN
    processes_gone: str = ""  # why none of their processes can be alive; "" if some may be
    other_namespace: bool = False  # their process numbers are not valid in this PID namespace


class ClaimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Run whose open attempt this server owns, under a fencing token."""

    key: int
    dag_name: str
    run_id: str
    attempt: int
    token: int
    definition: Definition
    inputs: RunInputs
    last_seq: int = 0
    queue: str = ""  # empty for a sub-run, which counts in no queue
    origin: AttemptOrigin = AttemptOrigin()
    lineage: RunLineage | None = None  # of a sub-run
    # Masks the secrets of the inputs, and those in the outputs of sub-runs.
    masker: Masker = msgspec.field(default_factory=Masker)

    @property
    def lineage_of_children(self) -> RunLineage:
        """The lineage from which those of its sub-runs are derived."""
        return self.lineage or RunLineage(root=self.key)
