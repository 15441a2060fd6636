"""A run as a value: what a start asks, where the run works, what was evaluated for it, and who owns its attempt."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from dagbook.audit_entry import NewAuditEntry
from dagbook.auth.audit_context import Action, Actor
from dagbook.db.repositories.accounts.principals import UNLIMITED, Principal
from dagbook.db.repositories.batches.turns import ItemKey
from dagbook.db.repositories.schedules import Slot
from dagbook.engine.admission import Admission
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import HostEnvironment, ServerContext
from dagbook.runs.trace_context import TRACEPARENT
from dagbook.spec.model import Definition, Pair, Secret
from dagbook.spec.params import names
from dagbook.spec.params.param_text import GivenParams

SCHEDULED_AT = "DAG_RUN_SCHEDULED_AT"  # the variable of a scheduled run: its minute, in the zone of the schedule
BATCH_PRIORITY = -500  # of the runs of batches, so that live ones go first
OF_EVENT = 2  # the first variables of an event, its trigger and its id, which sub-runs have, too


# -- requests --------------------------------------------------------------------------------------------------------


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one start request."""

    params: GivenParams = GivenParams()
    run_id: str = ""
    dag_name: str = ""
    queue: str = ""
    own_queue_only: bool = False  # a caller with grants names no queue but those that the DAG has by itself
    admission: Admission = Admission.START
    priority: int = 0  # within its queue, highest first
    trigger: str = "api"
    actor: Actor | None = None  # None for starts without a person, such as scheduled ones
    on_behalf_of: Principal = UNLIMITED  # whose rights count for its calls if there is no actor
    action: Action = Action.RUN_START
    source_directory: str | None = None
    revision: int | None = None
    slot: Slot | None = None  # the minute of a schedule that it is started for
    scheduled_at: datetime | None = None  # that minute in the zone of the schedule, for its variable
    item: ItemKey | None = None  # the item of a batch that it is started for
    event: str | None = None  # the event of a trigger that it is started for, whose id the run gets
    variables: tuple[Pair, ...] = ()  # those of the event
    traceparent: str = ""  # the trace that the request is part of
    despite_pause: bool = False  # whether it starts although everything is paused; for managers
    edits: bool = True  # False: the definition may forbid other params and a run id (DAG format 2.18)
    reads_sealed: bool = False  # whether it takes encrypted values over from another run

    @property
    def run_variables(self) -> tuple[Pair, ...]:
        """The variables of the run: those of the event, and its scheduled time."""
        at = self.scheduled_at
        return self.variables if at is None else (*self.variables, Pair(SCHEDULED_AT, at.isoformat()))

    @property
    def actor_label(self) -> str | None:
        """The actor's name for the run history."""
        return self.actor.label if self.actor is not None else None

    @property
    def principal(self) -> Principal:
        """Whose rights count for the calls of the run."""
        return self.on_behalf_of if self.actor is None else principal_of(self.actor)


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Definition text and start options of a new run."""

    spec: str
    base: str
    file_name: str | None = None
    run_as: str | None = None  # the account of the stored DAG
    start: StartOptions
    evaluates: bool = True  # its params, which a run that is started from another one takes from it


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run that a start would give: its params as the definition and the caller write them, and its steps."""

    dag_name: str
    revision: int
    queue: str
    priority: int
    params: Mapping[str, str]
    steps: Sequence[str]


class RetryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one retry request."""

    step: int | None = None  # key of the only step to run; None: the failed steps and their dependents
    admission: Admission = Admission.START
    attempt: int | None = None  # required number of the new attempt; the retry is refused if it has another
    directory: str = ""  # of a sub-run: the working directory of the calling step
    actor: Actor | None = None  # None for retries without a person
    item: ItemKey | None = None  # the item of a batch that it is for; it is queued with the priority of batches then

    @property
    def actor_label(self) -> str | None:
        """The actor's name for the run history."""
        return self.actor.label if self.actor is not None else None

    @property
    def principal(self) -> Principal:
        """Whose rights count for the calls of the attempt; sub-runs have those of their root."""
        return UNLIMITED if self.actor is None else principal_of(self.actor)


class StopOrder(msgspec.Struct, frozen=True):
    """The actor of a stop, as histories name it, and its audit entry."""

    actor: str | None
    entry: NewAuditEntry


def principal_of(actor: Actor) -> Principal:
    """Return whose rights count for the calls of what an actor starts."""
    return Principal(user_id=actor.user_id, token_id=actor.token_id)


# -- location and inputs ---------------------------------------------------------------------------------------------


class RunLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Origin of a run, and the directories it may work in."""

    source_directory: str | None
    default_directory: str = ""  # of a sub-run: the working directory of the calling step
    private_directory: Path | None = None  # of an inline run: made for it and removed at its end
    work_dir: Path  # the setting: default for other runs, and base of relative directories
    machine: HostEnvironment
    run_as: str | None = None  # the account of the DAG, which ``machine`` has as well
    limit_seconds: float
    fetches: bool = True  # schemas from URLs
    evaluate_caller_values: bool = False  # the setting
    crosses_accounts: bool = False  # of a sub-run under another account than its caller: declared params only
    last_success: tuple[Pair, ...] | None = None  # the variables about it; None until they are read
    of_caller: Mapping[str, str] = msgspec.field(default_factory=dict)  # of a sub-run: the environment it inherits

    @classmethod
    def of(
        cls,
        context: ServerContext,
        *,
        source_directory: str | None = None,
        run_as: str | None = None,
        environ: Mapping[str, str] | None = None,
        caller_directory: str = "",
        crosses_accounts: bool = False,
    ) -> RunLocation:
        """Return the location of a run on this server.

        ``environ`` is that of the caller of a sub-run, in place of the server's; ``caller_directory`` counts if the
        account of the run may enter it.
        """
        machine = context.machine.for_run(environ, run_as)
        is_usable = bool(caller_directory) and not crosses_accounts and machine.may_enter(Path(caller_directory))
        return cls(
            source_directory=source_directory,
            default_directory=caller_directory if is_usable else "",
            work_dir=context.work_dir_of(machine),
            machine=machine,
            run_as=run_as,
            limit_seconds=context.evaluation_limit_seconds,
            evaluate_caller_values=context.evaluate_caller_values,
            crosses_accounts=crosses_accounts,
            of_caller=environ or {},
        )

    def with_variables(self, variables: tuple[Pair, ...]) -> RunLocation:
        """Return the location of a run with these variables. The params of an event, which a stranger sent, are data.

        The setting does not count for it.
        """
        is_event = any(pair.name not in (SCHEDULED_AT, TRACEPARENT) for pair in variables)
        evaluates = self.evaluate_caller_values and not is_event
        return msgspec.structs.replace(self, evaluate_caller_values=evaluates)

    def in_private_directory(self, spool: RunSpool) -> RunLocation:
        """Return the location of an inline run, which works in a directory of its own."""
        return msgspec.structs.replace(self, private_directory=spool.private_directory(self.machine.account))

    @property
    def base_directory(self) -> Path:
        """The directory of relative paths: that of the file of the definition, or the setting."""
        return Path(self.source_directory) if self.source_directory else self.work_dir

    @property
    def undeclared_params(self) -> names.Undeclared:
        """What params become that the definition does not declare."""
        return names.Undeclared.REFUSE if self.crosses_accounts else self.machine.undeclared_params

    def schema_directories(self, directory: str) -> tuple[str, str]:
        """Return the directories in which a params schema is searched, in order."""
        return (directory, str(self.base_directory))


class PendingInputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is evaluated when the run begins: all inputs, with the params of the caller, or dotenv files alone.

    Secrets are resolved again in both cases, with those that only then may be asked for outside.
    """

    params: str = ""
    pairs: tuple[Pair, ...] | None = None
    dotenv_alone: bool = False

    @classmethod
    def of(cls, given: GivenParams) -> PendingInputs:
        """Make pending inputs with the params of the caller."""
        return cls(params=given.text, pairs=given.pairs)

    @property
    def given(self) -> GivenParams:
        """The params of the caller."""
        return GivenParams(self.params, self.pairs)


class RunInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Values evaluated before the first step starts: the same for every step, and after an adoption.

    While they are ``pending``, params are as they were given.
    """

    params: tuple[Pair, ...] = ()
    params_json: str | None = None  # the JSON text that the caller gave them as
    env: tuple[Pair, ...] = ()
    dotenv: tuple[Pair, ...] = ()
    work_dir: str
    keep_dir: bool = True  # False: the directory was made for this inline run and is removed at its end
    source_directory: str | None = None  # of the file that the definition came from
    base_environment: dict[str, str] | None = None  # of a sub-run, in place of the server's environment
    base_sealed: tuple[str, ...] = ()  # its variables from dotenv files of the callers, only stored encrypted
    secrets: tuple[Pair, ...] = ()
    hidden: tuple[str, ...] = ()  # other secret values to mask: of the caller, or of earlier attempts
    pending: PendingInputs | None = None
    run_as: str | None = None  # the account that the DAG has; None for that of the server's settings
    variables: tuple[Pair, ...] = ()  # of the event of a trigger, whose values are data; scheduled time; trace

    @property
    def to_hide(self) -> tuple[str, ...]:
        """All values to mask."""
        return (*(pair.value for pair in self.secrets), *self.hidden)

    @property
    def names_from_dotenv(self) -> tuple[str, ...]:
        """The variables whose values are from dotenv files of this run or of its callers."""
        return tuple(dict.fromkeys((*self.base_sealed, *(pair.name for pair in self.dotenv))))


# -- the claimed attempt ---------------------------------------------------------------------------------------------


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


class SecretUse(msgspec.Struct, frozen=True):
    """A secret that an attempt has, and its version if the provider has any."""

    secret: Secret
    version: int | None = None


class ClaimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Run whose open attempt this server owns, under a fencing token; the defaults are those of a new run."""

    key: int
    dag_name: str
    run_id: str
    attempt: int = 1
    token: int = 1
    definition: Definition
    inputs: RunInputs
    last_seq: int = 1
    queue: str = ""  # empty for a sub-run, which counts in no queue
    origin: AttemptOrigin = AttemptOrigin()
    lineage: RunLineage | None = None  # of a sub-run
    # Masks the secrets of the inputs, and those in the outputs of sub-runs.
    masker: Masker = msgspec.field(default_factory=Masker)
    uses: tuple[SecretUse, ...] = ()  # what the secrets of its inputs are, when they were resolved here

    @property
    def lineage_of_children(self) -> RunLineage:
        """The lineage from which those of its sub-runs are derived."""
        return self.lineage or RunLineage(root=self.key)
