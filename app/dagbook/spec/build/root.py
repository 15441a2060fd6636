"""The root fields of a DAG (DAG format 2)."""

from __future__ import annotations

from msgspec.structs import replace

from dagbook.spec.build.chat import llm
from dagbook.spec.build.commands import shell
from dagbook.spec.build.dag_fields import (
    MAIL,
    MAIL_ON,
    RUN_CONFIG,
    SMTP,
    dag_name,
    dag_type,
    otel,
    output_size,
    schedule,
    secrets,
    tags,
)
from dagbook.spec.build.env_params import env, params_with_schema
from dagbook.spec.build.field import Field, Fields, Report, describe
from dagbook.spec.build.hosts import SSH, container, registry_auths
from dagbook.spec.build.object_schema import (
    Key,
    ObjectSchema,
    ParsedObject,
    any_list,
    any_map,
    any_text_or_map,
    ignored,
)
from dagbook.spec.build.policies import preconditions
from dagbook.spec.build.scalars import boolean, integer, log_output, non_zero, text, text_map, text_or_texts, trimmed
from dagbook.spec.build.steps import STEP, build_step, read_step, read_steps
from dagbook.spec.build.types import Inherited
from dagbook.spec.model import DEFAULT_HISTORY_RETENTION_DAYS, Dag, Executor, Handlers, Step
from dagbook.spec.reading.yaml_reader import YamlNode
from dagbook.spec.schemas import reference

_HANDLER_NAMES = {
    "init": "onInit",
    "wait": "onWait",
    "success": "onSuccess",
    "failure": "onFailure",
    "abort": "onCancel",
    "exit": "onExit",
}
# A row of these tables has one line, or its meaning on a second one.
# fmt: off
HANDLERS = ObjectSchema(
    "handlerOn",
    Key("init", ignored, {"command": "./prepare.sh"}, "Before the first step.", values=reference("step")),
    Key("wait", ignored, {"command": "echo ${DAG_WAITING_STEPS}"},
        "When nothing but approvals is left to wait for.", since="1.30", values=reference("step")),
    Key("success", ignored, {"command": "./publish.sh"}, "After a run that succeeded.", values=reference("step")),
    Key("failure", ignored, {"command": "./alert.sh"}, "After a run that failed.", values=reference("step")),
    Key("abort", ignored, {"command": "./undo.sh"}, "After a run that was stopped.", values=reference("step")),
    Key("exit", ignored, {"command": "./clean.sh"}, "After every run, as the last thing.", values=reference("step")),
    Key("cancel", ignored, {"command": "./undo.sh"}, "The old spelling of abort.", values=reference("step")),
)
ROOT = ObjectSchema(
    "dag",
    Key("name", dag_name, "nightly-report",
        "Name of the DAG: at most 40 letters, digits, '_', '-' and '.'; without one, that of the file."),
    Key("group", trimmed, "reports", "A label that lists can be grouped by."),
    Key("description", trimmed, "The figures of the day before.", "What the DAG is for."),
    Key("type", dag_type, "graph",
        "chain: every step waits for the one before it; graph: only for those that 'depends' names."),
    Key("shell", shell, "/bin/bash -e", "The shell that runs commands, with its arguments, as one text or a list."),
    Key("workingDir", trimmed, "/srv/reports", "Directory that the run works in; it is created when it is missing."),
    Key("dotenv", text_or_texts, ["/etc/reports.env"],
        "Files with KEY=value lines, read after .env; later ones win. An empty list: none."),
    Key("schedule", schedule, "0 2 * * MON-FRI",
        "When runs start: cron expressions of five fields, or a map with start, stop and restart."),
    Key("skipIfSuccessful", boolean, True, "Skip a scheduled start when a run has succeeded since the time before."),
    Key("logDir", text, "/var/log/reports",
        "Directory of log files, accepted for definitions written for other servers."),
    Key("logOutput", log_output, "merged",
        "separate: a log for stdout and one for stderr; merged: one log for both, in the order written.", since="1.29"),
    Key("env", env, [{"DATA": "/srv/data"}, {"OUT": "${DATA}/out"}],
        "Environment variables of all steps, in order: later ones may refer to earlier ones."),
    Key("params", params_with_schema, [{"ENV": "staging"}, {"DAYS": 7}],
        "Parameters with their defaults: a text, a list, a map, or a map with the path or URL of a JSON schema."),
    # Steps and handlers depend on the other fields, so they are read last.
    Key("handlerOn", ignored, {"failure": {"command": "echo failed"}},
        "Steps that run at the start or end of a run, depending on its status.",
        name="handlers", values=reference("handlerOn")),
    Key("steps", ignored, [{"name": "fetch", "command": "./fetch.sh"}, "./report.sh"],
        "The steps: a list, in which lists stand for groups that run side by side, or a map by name.",
        values=reference("steps")),
    Key("preconditions", preconditions, [{"condition": "${ENV}", "expected": "production"}, "test -f /data/ready"],
        "Conditions that must be met for the run to start."),
    Key("precondition", preconditions, "test -f /data/ready",
        "More conditions, after those of preconditions.", name="more_preconditions"),
    Key("smtp", SMTP.build, {"host": "mail.example.com", "port": "587"}, "The server that mails are sent through."),
    Key("mailOn", MAIL_ON.build, {"failure": True}, "After which runs a mail is sent."),
    Key("errorMail", MAIL.build, {"from": "dagbook@example.com", "to": "team@example.com", "prefix": "[failed]"},
        "The mail about a run that failed."),
    Key("infoMail", MAIL.build, {"from": "dagbook@example.com", "to": ["team@example.com"], "attachLogs": True},
        "The mail about a run that succeeded."),
    Key("waitMail", MAIL.build, {"from": "dagbook@example.com", "to": "boss@example.com"},
        "The mail about a run that waits for an approval.", since="1.30"),
    Key("timeoutSec", integer, 3600, "Time limit of the whole run in seconds; 0 for none.", name="timeout_seconds"),
    Key("delaySec", integer, 1, "Pause in seconds after each start of a step.", name="delay_seconds"),
    Key("restartWaitSec", integer, 30,
        "Pause in seconds between stop and start of a restart.", name="restart_wait_seconds"),
    Key("histRetentionDays", integer, 90,
        "For how many days runs are stored, default 30; below 0: for ever.", name="history_retention_days"),
    Key("maxActiveRuns", non_zero, 3, "The limit of active runs at once; 0 stands for 1, below 0: unlimited."),
    Key("maxActiveSteps", integer, 4, "The limit of active steps of a run; 0: unlimited."),
    Key("maxCleanUpTimeSec", non_zero, 60,
        "Seconds between the stop signal and killing a step; 0 stands for 5.", name="max_clean_up_seconds"),
    Key("maxOutputSize", output_size, 65536, "The limit of 'output' in bytes; 0 stands for 1 MiB."),
    Key("tags", tags, ["daily", "finance"], "Labels to search by: a list, or a text with commas."),
    Key("queue", trimmed, "reports", "The queue that runs wait in; without one, the DAG's own."),
    Key("workerSelector", text_map, {"gpu": "true"}, "Labels that a worker must have to take a run."),
    Key("container", container, {"image": "python:3.13-slim", "volumes": ["./data:/data"]},
        "What steps without an executor run in: a container that runs already, or one for the whole run."),
    Key("ssh", SSH.build, {"user": "deploy", "host": "web1.example.com"},
        "A host that steps without an executor run on."),
    Key("registryAuths", registry_auths,
        {"registry.example.com": {"username": "ci", "password": "${REGISTRY_PASSWORD}"}},
        "Credentials of image registries by host, or one text for all."),
    Key("secrets", secrets, [{"name": "TOKEN", "provider": "file", "key": "/run/secrets/token"}],
        "Secret values that become variables and are hidden in logs."),
    Key("otel", otel, {"enabled": True, "endpoint": "http://localhost:4318/v1/traces"},
        "Traces of runs, which are sent to a receiver of OpenTelemetry when a run has ended."),
    Key("runConfig", RUN_CONFIG.build, {"disableParamEdit": True},
        "What clients should let people edit when they start a run."),
    Key("llm", llm, {"provider": "openai", "model": "gpt-4o"},
        "The model of chat steps, which are accepted and fail when they run.", since="1.30"),
    model=Dag,
    defaults={"histRetentionDays": DEFAULT_HISTORY_RETENTION_DAYS},
    misplaced=dict.fromkeys(set(STEP.keys) - {"dir"}, "a step") | dict.fromkeys(_HANDLER_NAMES, "handlerOn"),
    only_2x=("actions", "step_types"),
)
# fmt: on
_METADATA = ROOT.replace(
    dict.fromkeys(("handlerOn", "ssh", "smtp", "errorMail", "infoMail", "waitMail", "llm"), any_map)
    | dict.fromkeys(("steps", "preconditions", "precondition", "otel", "dotenv", "shell", "registryAuths"), ignored)
    | {"container": any_text_or_map}
    | {"secrets": any_list},
)


def read_document(node: YamlNode, report: Report) -> Fields:
    """Read a document into the fields that it gives, without defaults."""
    field = Field(node, "", report)
    parsed = _read_root(field, ROOT)
    if parsed is None:
        return {}
    fields = parsed.values
    inherited = Inherited(
        # The executor of steps that name none (3.6).
        executor=Executor(type=next((kind for kind in ("container", "ssh") if kind in parsed.fields), "")),
        model=fields.pop("llm", None),
        for_workers=bool(fields.get("worker_selector")),
    )
    conditions = fields.pop("more_preconditions", ())
    if conditions:
        fields["preconditions"] = fields.get("preconditions", ()) + conditions
    handlers = fields.pop("handlers", None)
    if handlers:
        fields["handlers"] = _read_handlers(handlers, inherited)
    steps = fields.pop("steps", None)
    if steps:
        chain = fields.get("type", "chain") == "chain" and not parsed.refused("type")
        fields["steps"] = read_steps(steps, inherited, chain=chain)
    return fields


def read_metadata(node: YamlNode, report: Report) -> Fields:
    """Read only the fields that a list of DAGs and the scheduler need (DAG format 1.6)."""
    parsed = _read_root(Field(node, "", report), _METADATA)
    fields = parsed.values if parsed else {}
    return {name: value for name, value in fields.items() if not isinstance(value, Field)}


def _read_root(field: Field, shape: ObjectSchema) -> ParsedObject | None:
    if not isinstance(field.value, dict):
        field.refuse(f"a definition must be a map of fields, not {describe(field.value)}")
        return None
    parsed = shape.read(field)
    if parsed:
        parsed.values |= parsed.values.pop("params", {})
    return parsed


def _read_handlers(field: Field, inherited: Inherited) -> Handlers:
    inherited = replace(inherited, is_handler=True)
    parsed = HANDLERS.read(field)
    given = parsed.fields if parsed else {}
    if "abort" in given and "cancel" in given:
        given["cancel"].refuse("abort and cancel are the same handler; give only abort")
    if "cancel" in given:
        given.setdefault("abort", given["cancel"])
    read: dict[str, Step] = {}
    for event, name in _HANDLER_NAMES.items():
        draft = read_step(given[event], inherited) if event in given else None
        if draft:
            read[event] = build_step(draft, name=name)
    return Handlers(**read)
