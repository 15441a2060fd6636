"""The root fields of a DAG (DAG format 2)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dagbook.spec.build.chat import llm
from dagbook.spec.build.commands import shell
from dagbook.spec.build.dag_fields import mail, otel, output_size, schedule, secrets, smtp
from dagbook.spec.build.env_params import env, params_with_schema
from dagbook.spec.build.field import Field, Report, describe, unwrap
from dagbook.spec.build.hosts import container, registry_auths, ssh
from dagbook.spec.build.object_schema import (
    ObjectSchema,
    ParsedObject,
    any_list,
    any_map,
    any_text_or_map,
    ignored,
    object_of,
)
from dagbook.spec.build.policies import preconditions
from dagbook.spec.build.scalars import boolean, integer, log_output, non_zero, text, text_map, text_or_texts, trimmed
from dagbook.spec.build.step import STEP, build_step, read_step
from dagbook.spec.build.steps import read_steps
from dagbook.spec.build.types import Inherited
from dagbook.spec.check import name_error
from dagbook.spec.model import Executor, Handlers, MailOn, RunConfig, Step
from dagbook.spec.reading.rendering import render
from dagbook.spec.reading.yaml_reader import YamlNode

DAG_TYPES = ("chain", "graph")

_HANDLER_NAMES = {
    "init": "onInit",
    "wait": "onWait",
    "success": "onSuccess",
    "failure": "onFailure",
    "abort": "onCancel",
    "exit": "onExit",
}


def read_document(node: YamlNode, report: Report) -> dict[str, Any]:
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


def read_metadata(node: YamlNode, report: Report) -> dict[str, Any]:
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


def _name(field: Field) -> str | None:
    name = trimmed(field)
    fault = name_error(name) if name else ""
    if fault:
        field.refuse(fault)
        return None
    return name


def _type(field: Field) -> str | None:
    word = trimmed(field)
    if word is None:
        return None
    if not word:
        return DAG_TYPES[0]
    if word in DAG_TYPES:
        return word
    if word == "agent":
        field.refuse('the type "agent" is reserved and not supported; write graph or chain')
    else:
        field.refuse(f"must be graph or chain, not {describe(word)}")
    return None


def _tags(field: Field) -> tuple[str, ...]:
    match field.value:
        case str():
            return tuple(tag.strip().lower() for tag in field.value.split(",") if tag.strip())
        case list():
            return tuple(render(unwrap(node)).strip().lower() for node in field.value)
        case _:
            field.warn(f"is ignored: it must be a text or a list of texts, not {describe(field.value)}")
            return ()


HANDLERS = ObjectSchema({event: (event, ignored) for event in (*_HANDLER_NAMES, "cancel")})
MAIL_ON = ObjectSchema({name: (name, boolean) for name in ("failure", "success", "wait")})
RUN_CONFIG = ObjectSchema(
    {
        "disableParamEdit": ("disable_param_edit", boolean),
        "disableRunIdEdit": ("disable_run_id_edit", boolean),
    },
)
ROOT = ObjectSchema(
    {
        "name": ("name", _name),
        "group": ("group", trimmed),
        "description": ("description", trimmed),
        "type": ("type", _type),
        "shell": ("shell", shell),
        "workingDir": ("working_dir", trimmed),
        "dotenv": ("dotenv", text_or_texts),
        "schedule": ("schedule", schedule),
        "skipIfSuccessful": ("skip_if_successful", boolean),
        "logDir": ("log_dir", text),
        "logOutput": ("log_output", log_output),
        "env": ("env", env),
        "params": ("params", params_with_schema),
        # Steps and handlers depend on the other fields, so they are read last.
        "handlerOn": ("handlers", ignored),
        "steps": ("steps", ignored),
        "preconditions": ("preconditions", preconditions),
        "precondition": ("more_preconditions", preconditions),
        "smtp": ("smtp", smtp),
        "mailOn": ("mail_on", object_of(MAIL_ON, MailOn)),
        "errorMail": ("error_mail", mail),
        "infoMail": ("info_mail", mail),
        "waitMail": ("wait_mail", mail),
        "timeoutSec": ("timeout_seconds", integer),
        "delaySec": ("delay_seconds", integer),
        "restartWaitSec": ("restart_wait_seconds", integer),
        "histRetentionDays": ("history_retention_days", integer),
        "maxActiveRuns": ("max_active_runs", non_zero),
        "maxActiveSteps": ("max_active_steps", integer),
        "maxCleanUpTimeSec": ("max_clean_up_seconds", non_zero),
        "maxOutputSize": ("max_output_size", output_size),
        "tags": ("tags", _tags),
        "queue": ("queue", trimmed),
        "workerSelector": ("worker_selector", text_map),
        "container": ("container", container),
        "ssh": ("ssh", ssh),
        "registryAuths": ("registry_auths", registry_auths),
        "secrets": ("secrets", secrets),
        "otel": ("otel", otel),
        "runConfig": ("run_config", object_of(RUN_CONFIG, RunConfig)),
        "llm": ("llm", llm),
    },
    misplaced=dict.fromkeys(set(STEP.keys) - {"dir"}, "a step") | dict.fromkeys(_HANDLER_NAMES, "handlerOn"),
    later=("actions", "step_types"),
)
_METADATA = ROOT.replace(
    dict.fromkeys(("handlerOn", "ssh", "smtp", "errorMail", "infoMail", "waitMail", "llm"), any_map)
    | dict.fromkeys(("steps", "preconditions", "precondition", "otel", "dotenv", "shell", "registryAuths"), ignored)
    | {"container": any_text_or_map}
    | {"secrets": any_list},
)
