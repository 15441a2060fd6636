"""The frozen structs of a definition. Texts are raw: nothing here is expanded or evaluated.

Field meanings follow sections 2 and 3 of the DAG format; durations are whole seconds.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

DagType = Literal["chain", "graph"]
RepeatMode = Literal["while", "until"]
DEFAULT_MAX_OUTPUT_SIZE = 1024 * 1024
LARGEST_OUTPUT_SIZE = 16 * 1024 * 1024  # as of every text: a longer value could not be used anywhere
DEFAULT_MAX_CLEAN_UP_SECONDS = 5
DEFAULT_HISTORY_RETENTION_DAYS = 30
DEFAULT_MAX_CONCURRENT = 10
HITL = "hitl"  # the type of a step that waits for an approval
LAST_SUCCESS = "DAG_LAST_"  # begins the names of the variables about the newest success
POSTGRES, SQLITE = SQL_TYPES = ("postgres", "sqlite")  # those of steps of SQL
LogOutput = Literal["separate", "merged"]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class _Frozen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Pair(msgspec.Struct, frozen=True, array_like=True):
    """One environment variable or one parameter."""

    name: str
    value: str


class Condition(_Frozen, frozen=True, kw_only=True):
    """A precondition (DAG format 3.11); without ``expected`` the text is a command."""

    condition: str
    expected: str = ""
    negate: bool = False


class ContinueOn(_Frozen, frozen=True, kw_only=True):
    """The results of a step that its dependents tolerate (DAG format 3.8)."""

    failure: bool = False
    skipped: bool = False
    exit_codes: tuple[int, ...] = ()
    output: tuple[str, ...] = ()
    mark_success: bool = False


class Retry(_Frozen, frozen=True, kw_only=True):
    """Automatic retries (DAG format 3.9); a text is evaluated when the step starts."""

    limit: int | str
    interval_seconds: int | str
    exit_codes: tuple[int, ...] = ()
    backoff: float = 0.0
    max_interval_seconds: int = 0


class Repeat(_Frozen, frozen=True, kw_only=True):
    """Repetition of a step (DAG format 3.10); ``limit`` counts executions, 0 is no limit."""

    mode: RepeatMode
    condition: Condition | None = None
    exit_codes: tuple[int, ...] = ()
    interval_seconds: int = 0
    limit: int = 0
    backoff: float = 0.0
    max_interval_seconds: int = 0


class Executor(_Frozen, frozen=True, kw_only=True):
    """The executor of a step; an empty type is the command executor."""

    type: str = ""
    config: dict[str, Any] = {}


class Call(_Frozen, frozen=True, kw_only=True):
    """The DAG that a step calls, with its params as pairs that are not evaluated, and as the text that is shown."""

    name: str
    pairs: tuple[Pair, ...] = ()
    params: str = ""


class Parallel(_Frozen, frozen=True, kw_only=True):
    """Items of a parallel call; a map item is stored as its (key, text) pairs."""

    variable: str = ""
    items: tuple[str | tuple[Pair, ...], ...] = ()
    max_concurrent: int = DEFAULT_MAX_CONCURRENT


class Container(_Frozen, frozen=True, kw_only=True):
    """The container of a run's steps or of one step (DAG format 2.13; 1.30, 3).

    Either ``exec`` names a running one, or ``image`` the image of a new one; the other is empty.
    """

    exec: str = ""
    image: str = ""
    name: str = ""
    pull_policy: Literal["always", "missing", "never"] = "missing"
    env: tuple[Pair, ...] = ()
    volumes: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    platform: str = ""
    network: str = ""
    ports: tuple[str, ...] = ()
    keep_container: bool = False
    startup: str = ""  # empty: keepalive; a default here would win over what the base configuration says
    command: tuple[str, ...] = ()
    wait_for: str = ""  # empty: running
    log_pattern: str = ""
    restart_policy: str = ""


class CommandLine(msgspec.Struct, frozen=True, array_like=True):
    """One of several command lines of a step, and its split."""

    line: str
    command: str
    args: tuple[str, ...] = ()


class Step(_Frozen, frozen=True, kw_only=True):
    name: str
    id: str = ""
    description: str = ""
    # What to run (DAG format 3.4): the line as written, its split, and the script.
    # command_list marks a list, whose items are evaluated one by one. Of a list of command lines (1.30, 2) command and
    # args are those of the first.
    command_line: str = ""
    lines: tuple[CommandLine, ...] = ()
    command: str = ""
    args: tuple[str, ...] = ()
    command_list: bool = False
    script: str = ""
    shell: tuple[str, ...] = ()
    shell_packages: tuple[str, ...] = ()
    executor: Executor = Executor()
    container: Container | None = None
    call: Call | None = None
    parallel: Parallel | None = None
    params: tuple[Pair, ...] = ()
    working_dir: str = ""
    env: tuple[Pair, ...] = ()
    stdout: str = ""
    stderr: str = ""
    output: str = ""
    output_key: str = ""  # among the collected outputs; empty: made of the name
    output_omit: bool = False  # not among them
    log_output: LogOutput | None = None  # None is that of the DAG
    depends: tuple[str, ...] = ()  # names; ids are translated, chain links included
    continue_on: ContinueOn = ContinueOn()
    retry: Retry | None = None
    repeat: Repeat | None = None
    preconditions: tuple[Condition, ...] = ()
    mail_on_error: bool = False
    signal_on_stop: str = ""
    timeout_seconds: int = 0
    worker_selector: dict[str, str] = {}


class Handlers(_Frozen, frozen=True, kw_only=True):
    init: Step | None = None
    wait: Step | None = None
    success: Step | None = None
    failure: Step | None = None
    abort: Step | None = None
    exit: Step | None = None


class Smtp(_Frozen, frozen=True, kw_only=True):
    host: str = ""
    port: str = ""
    username: str = ""
    password: str = ""


class Mail(_Frozen, frozen=True, kw_only=True):
    """Sender and recipients of one kind of notification."""

    sender: str = ""
    to: tuple[str, ...] = ()
    prefix: str = ""
    attach_logs: bool = False


class MailOn(_Frozen, frozen=True, kw_only=True):
    failure: bool = False
    success: bool = False
    wait: bool = False


class Ssh(_Frozen, frozen=True, kw_only=True):
    """The remote host of a run's steps (DAG format 2.14)."""

    user: str = ""
    host: str = ""
    port: str = "22"
    key: str = ""
    password: str = ""
    strict_host_key: bool | None = None  # None is the server's default, which is true
    known_host_file: str = ""
    shell: tuple[str, ...] = ()  # that runs each command there; empty: the login shell gets the bare line


def is_variable_name(name: str) -> bool:
    """Whether shells take a name as that of a variable."""
    return _VARIABLE.match(name) is not None


class Secret(_Frozen, frozen=True, kw_only=True):
    """A reference to a secret value; the value itself is never part of a definition."""

    name: str
    provider: str
    key: str
    options: dict[str, str] = {}


class Otel(_Frozen, frozen=True, kw_only=True):
    """Tracing of a DAG (DAG format 2.17)."""

    enabled: bool = False
    endpoint: str = ""
    headers: dict[str, str] = {}
    insecure: bool = False
    timeout_seconds: float = 0.0
    resource: dict[str, Any] = {}


class RunConfig(_Frozen, frozen=True, kw_only=True):
    """What callers who may not write definitions cannot choose when they start a run."""

    disable_param_edit: bool = False
    disable_run_id_edit: bool = False


class Schedule(_Frozen, frozen=True, kw_only=True):
    """Unparsed cron expressions for start, stop and restart."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


class Dag(_Frozen, frozen=True, kw_only=True):
    """One document of a definition. ``None`` marks a missing field whose default is applied later."""

    name: str = ""
    group: str = ""
    description: str = ""
    type: DagType = "chain"
    shell: tuple[str, ...] = ()
    working_dir: str = ""
    dotenv: tuple[str, ...] = (".env",)
    schedule: Schedule = Schedule()
    skip_if_successful: bool = False
    log_dir: str = ""
    log_output: LogOutput = "separate"
    env: tuple[Pair, ...] = ()
    params: tuple[Pair, ...] = ()
    params_schema: str = ""  # path or URL of the JSON Schema that the params must satisfy
    handlers: Handlers = Handlers()
    steps: tuple[Step, ...] = ()
    preconditions: tuple[Condition, ...] = ()
    smtp: Smtp | None = None
    mail_on: MailOn | None = None
    error_mail: Mail | None = None
    info_mail: Mail | None = None
    wait_mail: Mail | None = None
    timeout_seconds: int = 0
    delay_seconds: int = 0
    restart_wait_seconds: int = 0
    history_retention_days: int | None = None
    max_active_runs: int = 1
    max_active_steps: int = 0
    max_clean_up_seconds: int = DEFAULT_MAX_CLEAN_UP_SECONDS
    max_output_size: int = DEFAULT_MAX_OUTPUT_SIZE
    tags: tuple[str, ...] = ()
    queue: str = ""
    worker_selector: dict[str, str] = {}
    container: Container | None = None
    ssh: Ssh | None = None
    registry_auths: dict[str, str | dict[str, str]] = {}
    secrets: tuple[Secret, ...] = ()
    otel: Otel | None = None
    run_config: RunConfig | None = None
    names_last_success: bool = False  # whether any text has LAST_SUCCESS: its runs get these variables

    def merges_logs(self, step: Step | None) -> bool:
        """Whether stdout and stderr of a step have one log (DAG format 1.30, 5)."""
        return ((step and step.log_output) or self.log_output) == "merged"


class Definition(_Frozen, frozen=True, kw_only=True):
    """All documents of one text: the main DAG and its local sub-DAGs, in file order."""

    dag: Dag
    local_dags: tuple[Dag, ...] = ()
    warnings: tuple[str, ...] = ()

    def called(self, name: str) -> Definition | None:
        """Return the local DAG of this name as a definition, which can call the other local DAGs."""
        found = next((dag for dag in self.local_dags if dag.name == name), None)
        return None if found is None else Definition(dag=found, local_dags=self.local_dags)
