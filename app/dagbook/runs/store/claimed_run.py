"""A run as its driver holds it."""

from __future__ import annotations

import enum

import msgspec

from dagbook.runs.secrets.masking import Masker
from dagbook.spec.model import Definition, Pair


class RunInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What was evaluated before the run existed: the same for every step, and after a take-over."""

    params: tuple[Pair, ...] = ()
    env: tuple[Pair, ...] = ()
    dotenv: tuple[Pair, ...] = ()
    work_dir: str
    keep_dir: bool = True  # False: the folder was made for this inline run and is removed at its end
    source_directory: str | None = None  # of the file that the definition came from
    base_environment: dict[str, str] | None = None  # what a sub-run has in place of the server's environment
    secrets: tuple[Pair, ...] = ()
    hidden: tuple[str, ...] = ()  # secret values of others: of its caller, or of its attempts before

    @property
    def to_hide(self) -> tuple[str, ...]:
        """All values that nobody may read."""
        return (*(pair.value for pair in self.secrets), *self.hidden)


class RunLineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands among those that called it: keys of root and caller, 0 levels below for a root itself."""

    root: int
    parent: int | None = None
    level: int = 0

    def child(self, parent: int) -> RunLineage:
        """Give the place of a run that ``parent`` calls."""
        return RunLineage(root=self.root, parent=parent, level=self.level + 1)


class SpoolMatch(enum.Enum):
    """Whose spool the executions of a run began in, seen from this server."""

    OWN = enum.auto()  # what is not there never was
    OTHER = enum.auto()  # nothing here says anything about them
    UNKNOWN = enum.auto()  # of a server that noted none: what is there counts, what is not there proves nothing


class AttemptOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the executions of a run that was taken over began, as far as that decides what can be known of them."""

    spool: SpoolMatch = SpoolMatch.OWN
    processes_gone: str = ""  # why none of their processes can be alive
    other_namespace: bool = False  # their processes have other numbers here, or none


class ClaimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose open attempt this server owns, under a fencing token."""

    key: int
    dag_name: str
    run_id: str
    attempt: int
    token: int
    definition: Definition
    inputs: RunInputs
    last_seq: int = 0
    queue: str = ""  # the group that it counts in; empty for a sub-run, which counts in none
    origin: AttemptOrigin = AttemptOrigin()
    lineage: RunLineage | None = None  # of a sub-run
    masker: Masker = msgspec.field(
        default_factory=Masker
    )  # hides what the inputs want hidden, and what the run's calls give it

    @property
    def lineage_of_children(self) -> RunLineage:
        """Where the run stands among those that called it."""
        return self.lineage or RunLineage(root=self.key)
