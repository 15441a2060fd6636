"""Records of a Dagu 1.x home: names of files, and the JSON in them as structs. Pure.

docs/how-to/import.md describes the layout. Unknown fields are ignored, null counts as empty, a wrong type is an error.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, TypeVar

import msgspec

from dagbook.identifiers import shorten

T = TypeVar("T")
RUN_FOLDER = re.compile(r"dag-run_(\d{8}_\d{6})Z_(.{1,255})", re.DOTALL)
ATTEMPT_FOLDER = re.compile(r"\.?attempt_(\d{8}_\d{6})_(\d{3})Z_([0-9A-Za-z]{1,32})")
CHILD_FOLDER = re.compile(r"child_(.{1,255})", re.DOTALL)
RUNS_FOLDER = "dag-runs"
CHILDREN_FOLDER = "children"
STATUS_FILE, SNAPSHOT_FILE, OUTPUTS_FILE = "status.jsonl", "dag.json", "outputs.json"
SUSPEND_SUFFIX = ".suspend"
_NOT_IN_FOLDERS = re.compile("[^A-Za-z0-9_-]")
_STAMP = "%Y%m%d_%H%M%S"
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_FIRST_YEAR, _LAST_YEAR = 1971, 9000
_MOST_LINES_CUT = 10
Count = Annotated[int, msgspec.Meta(le=1_000_000_000)]  # both databases store it


class RecordError(Exception):
    """A record that cannot be read or converted, with the reason."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class RunName(_Record, frozen=True, kw_only=True):
    """Name of a DAG and id of its run."""

    name: str = ""
    id: str = ""


class CommandRecord(_Record, frozen=True, kw_only=True):
    """One command of a step, evaluated."""

    command: str = ""
    args: list[str] | None = None
    cmd_with_args: str = ""


class ConditionRecord(_Record, frozen=True, kw_only=True):
    """A precondition and, in a run, why it was not met."""

    condition: str = ""
    expected: str = ""
    negate: bool = False
    error: str = ""


class ExecutorRecord(_Record, frozen=True, kw_only=True):
    type: str = ""


class CalledRecord(_Record, frozen=True, kw_only=True):
    """The DAG that a step calls."""

    name: str = ""
    params: str = ""


class StepRecord(_Record, frozen=True, kw_only=True):
    """A step as the run evaluated it; older versions have its command in the step itself."""

    name: str = ""
    description: str = ""
    commands: list[CommandRecord] | None = None
    command: str = ""
    args: list[str] | None = None
    cmd_with_args: str = ""
    script: str = ""
    output: str = ""
    depends: list[str] | None = None
    executor_config: ExecutorRecord | None = None
    child_dag: CalledRecord | None = None
    preconditions: list[ConditionRecord] | None = None

    @property
    def shown(self) -> CommandRecord | None:
        """The command, if there is exactly one."""
        if self.commands:
            return self.commands[0] if len(self.commands) == 1 else None
        if not self.command:
            return None
        return CommandRecord(command=self.command, args=self.args, cmd_with_args=self.cmd_with_args)


class CallRecord(_Record, frozen=True, kw_only=True):
    """A sub-run that a step called."""

    dag_run_id: str = ""
    params: str = ""


class NodeRecord(_Record, frozen=True, kw_only=True):
    """A step or handler in an attempt; ``stdout`` and ``stderr`` name the files of its output.

    ``summary`` is a member of Dagbook's own exports.
    """

    step: StepRecord
    stdout: str = ""
    stderr: str = ""
    started_at: str = ""
    finished_at: str = ""
    status: int = 0
    retried_at: str = ""
    retry_count: Count = 0
    done_count: Count = 0
    repeated: bool = False
    error: str = ""
    children: list[CallRecord] | None = None
    children_repeated: list[CallRecord] | None = None
    output_variables: dict[str, str] | None = None
    rejection_reason: str = ""
    summary: str = ""


class StatusRecord(_Record, frozen=True, kw_only=True):
    """The state of an attempt: a line of ``status.jsonl``, the last of which counts."""

    root: RunName | None = None
    parent: RunName | None = None
    name: str
    dag_run_id: str
    attempt_id: str = ""
    status: int
    nodes: list[NodeRecord] | None = None
    on_init: NodeRecord | None = None
    on_exit: NodeRecord | None = None
    on_success: NodeRecord | None = None
    on_failure: NodeRecord | None = None
    on_cancel: NodeRecord | None = None
    on_wait: NodeRecord | None = None
    created_at: int = 0
    queued_at: str = ""
    started_at: str = ""
    finished_at: str = ""
    log: str = ""
    params: str = ""
    params_list: list[str] | None = None
    preconditions: list[ConditionRecord] | None = None


class SnapshotRecord(_Record, frozen=True, kw_only=True):
    """The definition of an attempt, as far as Dagbook needs it: ``dag.json``."""

    name: str = ""
    working_dir: str = ""
    location: str = ""
    env: list[str] | None = None
    queue: str = ""
    yaml_data: str = ""

    @property
    def text(self) -> str:
        """The source text; raises RecordError. Empty when there is none."""
        try:
            return base64.b64decode(self.yaml_data, validate=True).decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RecordError("yamlData is not a text in Base64") from error


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the builtin authentication."""

    id: str = ""
    username: str
    password_hash: str = ""
    role: str = ""
    auth_provider: str = ""
    is_disabled: bool = False


class WebhookRecord(_Record, frozen=True, kw_only=True):
    """The webhook of a DAG, by the name of its file."""

    dag_name: str
    token_hash: str = ""
    enabled: bool = True


class QueueItemRecord(_Record, frozen=True, kw_only=True):
    """An entry of a queue."""

    dag_run: RunName


def folder_of(dag: str) -> str:
    """Return the folder of a DAG's runs: its name, or one with digits of its SHA-256 if characters are replaced."""
    plain = _NOT_IN_FOLDERS.sub("_", dag)
    return plain if plain == dag else f"{plain}-{sha256(dag.encode()).hexdigest()[:4]}"


def read_status(data: bytes, run_id: str) -> StatusRecord:
    """Return the last complete line of a status file of a run; raises RecordError.

    The last line of a server that was killed may be cut; a file with several such lines is another one.
    """
    problem, rest = "", data.rstrip()
    for _ in range(_MOST_LINES_CUT if rest else 0):
        rest, _, line = rest.rpartition(b"\n")
        try:
            found = decode(line, StatusRecord)
        except RecordError as error:
            problem, rest = problem or str(error), rest.rstrip()
            continue
        if found.dag_run_id != run_id:
            raise RecordError(f"its status is that of another run, {shorten(found.dag_run_id)}")
        return found
    raise RecordError(problem or "it has no line")


def decode(data: bytes, kind: type[T]) -> T:
    """Decode a JSON record, with NUL replaced, which PostgreSQL cannot store; raises RecordError."""
    try:
        return msgspec.json.decode(_NUL.sub(rb"\1\\ufffd", data), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"it is damaged or cut: {str(error) or type(error).__name__}") from error


def read_stamp(stamp: str, milliseconds: str = "0") -> datetime:
    """Read the time in the name of a folder, which is in UTC; raises RecordError."""
    try:
        at = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC, microsecond=int(milliseconds) * 1000)
    except ValueError:
        at = None
    if at is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise RecordError(f"{stamp} in its name is not a time")
    return at


def format_stamp(at: datetime) -> str:
    """Format the time in the name of a folder."""
    return at.astimezone(UTC).strftime(_STAMP)


def read_time(text: str, field: str) -> datetime | None:
    """Read a time of a record, None for one that is not set; raises RecordError."""
    if text in ("", "-"):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is not None and at.year < _FIRST_YEAR:  # the zero value
        return None
    if at is None or at.tzinfo is None or at.year > _LAST_YEAR:
        raise RecordError(f"{field}: {text[:60]!r} is not a time")
    return at.astimezone(UTC)
