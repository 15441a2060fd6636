"""JSON Schema for each reader of a value (DAG format 1.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dagbook.spec.build import calls, chat, commands, dag_fields, env_params, hosts, policies, scalars, step, types
from dagbook.spec.build.calls import EXECUTOR_KEYS
from dagbook.spec.build.dag_fields import ACTIONS, KINDS
from dagbook.spec.build.object_schema import Reader
from dagbook.spec.build.policies import CONTINUE_ON
from dagbook.spec.build.root import DAG_TYPES
from dagbook.spec.build.scalars import FALSE_WORDS, TRUE_WORDS
from dagbook.spec.build.step import SIGNALS
from dagbook.spec.grammar.examples import annotate
from dagbook.spec.grammar.texts import CONTINUE_ON_KEYS, EXECUTOR, OTEL, OUTPUT, PARALLEL, SCHEDULE
from dagbook.spec.model import DEFAULT_MAX_CONCURRENT

Json = dict[str, Any]

_LARGEST = 2**63
TEXT: Json = {"type": "string"}
FILLED: Json = {"type": "string", "minLength": 1}
NOT_BLANK: Json = {"type": "string", "pattern": r"\S"}
FLAG: Json = {"type": "boolean"}
_OFF: Json = FLAG | {"default": False}
NUMBER: Json = {"type": "number", "minimum": -_LARGEST, "exclusiveMaximum": _LARGEST}
WHOLE: Json = {"type": "integer"}
LIST: Json = {"type": "array"}
TEXTS: Json = {"type": "array", "items": TEXT}
BLANK: Json = {"type": ["string", "null"], "pattern": r"^\s*$"}
NUMBERS: Json = {"type": "array", "items": NUMBER}
MAP: Json = {"type": "object"}
TEXT_MAP: Json = {"type": "object", "additionalProperties": TEXT}
NOTHING: Json = {"type": "null"}
_CRON = r"^\s*((CRON_)?TZ=\S+\s+)?\S+(\s+\S+){4}\s*$"
_CONTAINER_TEXTS = (
    *("exec", "image", "name", "user", "workingDir", "workDir", "platform", "network"),
    *("startup", "waitFor", "logPattern", "restartPolicy"),
)
_DURATION = r"^[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$"


def reference(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def any_of(*schemas: Json) -> Json:
    return {"anyOf": list(schemas)}


def nullable(schema: Json) -> Json:
    """Allow null, which is the same as leaving a field out."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [*schema["anyOf"], NOTHING]} if set(schema) == {"anyOf"} else any_of(schema, NOTHING)


def any_case(word: str) -> str:
    """Return a case-insensitive expression for a word; the dialect of JSON Schema has no flag for it."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in word)


def _words(words: Iterable[str], *, case: bool = True, blank: bool = False) -> Json:
    """Allow these words with surrounding blanks; the enumeration is for completion in editors."""
    known = list(words)
    choice = "|".join(known if case else map(any_case, known))
    return any_of({"enum": known}, {"type": "string", "pattern": rf"^\s*({choice}){'?' if blank else ''}\s*$"})


def _known(part: str, texts: dict[str, str], keys: Iterable[str], values: dict[str, Json], *, others: bool) -> Json:
    """Describe a map whose keys are case-sensitive."""
    properties = {key: {"description": texts[key]} | annotate(part, key) | values[key] for key in keys}
    return MAP | {"properties": properties} | ({} if others else {"additionalProperties": False})


def _ignored(*types: str) -> Json:
    """Allow values that are ignored."""
    return {"type": list(types), "deprecated": True, "description": "Ignored, with a warning."}


_cron: Json = {"type": "string", "pattern": _CRON}
_crons = any_of(_cron, {"type": "array", "items": _cron})
_params = any_of(TEXT, {"type": "array", "items": any_of(TEXT, MAP)}, MAP)
_env = any_of(
    MAP,
    {"type": "array", "items": any_of(MAP, {"type": "string", "pattern": "="})},
    _ignored("string", "number", "boolean"),
)
_text_or_texts = any_of(TEXT, TEXTS)
_words_of_a_shell = any_of(TEXT, LIST)
_scalar = any_of(TEXT, {"type": "number"}, FLAG)
_scalars = any_of(*_scalar["anyOf"], {"type": "array", "items": any_of(*_scalar["anyOf"], NOTHING)})
_container = any_of(NOT_BLANK, reference("container"))
_port = any_of(TEXT, {"type": "number"})
_item = any_of(TEXT, {"type": "number"}, MAP | {"additionalProperties": _scalar})
_items = any_of(NOT_BLANK, {"type": "array", "items": _item, "minItems": 1})
_parallel_values: dict[str, Json] = {
    "items": _items,
    "maxConcurrent": {"type": "number", "minimum": 1, "default": DEFAULT_MAX_CONCURRENT},
}
_parallel = any_of(
    *_items["anyOf"],
    _known("parallel", PARALLEL, PARALLEL, _parallel_values, others=True) | {"required": ["items"]},
)
_with_schema: Json = {
    "if": {"required": ["schema"], "properties": {"schema": TEXT}},
    "then": {"properties": {"values": nullable(_params)}},
}
_executor_values = {"type": TEXT, "config": MAP}
_executor = any_of(TEXT, _known("executor", EXECUTOR, EXECUTOR_KEYS, _executor_values, others=False))
_continue_on_values = {
    "failure": _OFF,
    "failed": _OFF,
    "skipped": _OFF,
    "exitCode": any_of(
        {"type": "number"},
        {"type": "string", "pattern": r"^\s*[-+]?[0-9]{1,18}\s*$"},
        LIST | {"items": any_of({"type": "number"}, {"type": "string", "pattern": r"^[-+]?[0-9]{1,18}$"})},
    ),
    "output": _text_or_texts,
    "markSuccess": _OFF,
}
_continue_on = any_of(
    _words(["failed", "skipped"], case=False),
    _known("continueOn", CONTINUE_ON_KEYS, CONTINUE_ON, _continue_on_values, others=True),
)
_output_values = {"name": NOT_BLANK, "key": {}, "omit": {"default": False}}
_output = _known("output", OUTPUT, _output_values, _output_values, others=True) | {"required": ["name"]}
_positive = NUMBER | {"minimum": 1}
_schedule = any_of(
    {"const": ""}, *_crons["anyOf"], _known("schedule", SCHEDULE, ACTIONS, dict.fromkeys(ACTIONS, _crons), others=False)
)
_not_texts: list[str] = ["number", "boolean", "object", "array", "null"]
_otel_values: dict[str, Json] = {key: {} for key in KINDS} | {
    "timeout": any_of({"type": "string", "pattern": _DURATION}, {"type": _not_texts})
}
_otel = _known("otel", OTEL, _otel_values, _otel_values, others=True)

OF_READER: dict[Reader, Json] = {
    scalars.text: TEXT,
    scalars.trimmed: TEXT,
    scalars.boolean: FLAG,
    scalars.integer: NUMBER,
    scalars.natural: NUMBER,
    scalars.non_zero: NUMBER,
    scalars.non_negative: NUMBER | {"minimum": 0},
    scalars.integers: NUMBERS,
    scalars.texts: TEXTS,
    scalars.loose_boolean: any_of(FLAG, {"type": "number"}, {"enum": sorted(TRUE_WORDS | FALSE_WORDS | {""})}),
    scalars.render_scalar: _scalar,
    scalars.render_scalars: _scalars,
    scalars.text_or_texts: _text_or_texts,
    scalars.text_map: TEXT_MAP,
    scalars.exact_text_map: TEXT_MAP,
    scalars.loose_port: _scalar,
    commands.command: any_of(NOT_BLANK, {"type": "array", "items": any_of(*_scalar["anyOf"], NOTHING)}),
    commands.shell: _words_of_a_shell,
    scalars.log_output: _words(("separate", "merged"), case=False, blank=True),
    scalars.texts_or_scalars: any_of(TEXT, {"type": "array", "items": _scalar}),
    step.output: any_of(TEXT, _output),
    chat.llm: reference("llm"),
    chat.step_llm: reference("modelOfStep"),
    chat.messages: {"type": "array", "items": reference("message"), "minItems": 1},
    policies.preconditions: reference("preconditions"),
    env_params.env: _env,
    env_params.container_env: _env,
    env_params.params: _params,
    env_params.params_with_schema: any_of(*_params["anyOf"][:-1], MAP | _with_schema),
    calls.executor: _executor,
    calls.config: MAP,
    types.step_type: {"type": "string", "pattern": rf"^\s*({'|'.join(types.TYPES)}|)\s*$"},
    calls.call: TEXT,
    calls.deprecated_call: TEXT | {"deprecated": True, "pattern": rf"^\s*({calls.CALLABLE})?\s*$"},
    calls.parallel: _parallel,
    policies.continue_on: _continue_on,
    policies.retry: reference("retryPolicy"),
    policies.repeat: reference("repeatPolicy"),
    dag_fields.output_size: NUMBER,
    dag_fields.schedule: _schedule,
    dag_fields.smtp: reference("smtp"),
    dag_fields.mail: reference("mail"),
    hosts.container: _container,
    hosts.step_container: _container,
    hosts.registry_auths: any_of(TEXT, MAP),
    hosts.ssh: reference("ssh"),
    dag_fields.secrets: {"type": "array", "items": reference("secret")},
    dag_fields.otel: _otel,
}

# Readers of a single field are listed by object and key.
OF_FIELD: dict[tuple[str, str], Json] = {
    ("dag", "name"): {"type": "string", "pattern": r"^\s*[A-Za-z0-9_.-]{0,40}\s*$"},
    ("dag", "type"): _words(DAG_TYPES, blank=True),
    ("dag", "tags"): any_of(TEXT, LIST, _ignored("number", "boolean", "object")),
    ("dag", "handlerOn"): reference("handlerOn"),
    ("dag", "steps"): reference("steps"),
    ("dag", "mailOn"): reference("mailOn"),
    ("dag", "runConfig"): reference("runConfig"),
    ("llm", "provider"): {"enum": list(chat.PROVIDERS)},
    ("llm", "temperature"): {"type": "number", "minimum": 0, "maximum": 2},
    ("llm", "topP"): {"type": "number", "minimum": 0, "maximum": 1},
    ("llm", "maxTokens"): _positive,
    ("llm", "thinking"): reference("thinking"),
    ("thinking", "effort"): {"enum": list(chat.EFFORTS)},
    ("thinking", "budgetTokens"): _positive,
    ("message", "role"): {"enum": list(chat.ROLES)},
    ("message", "content"): NOT_BLANK,
    ("step", "signalOnStop"): {"enum": sorted(SIGNALS)},
    ("mail", "to"): any_of(TEXT, LIST),
    **{("container", key): _scalar for key in _CONTAINER_TEXTS},
    ("container", "pullPolicy"): {"enum": [*hosts.POLICIES, True, False]},
    ("ssh", "port"): _port,
    ("retryPolicy", "limit"): any_of(WHOLE, TEXT),
    ("retryPolicy", "intervalSec"): any_of(WHOLE, TEXT),
    ("retryPolicy", "backoff"): any_of(
        FLAG, {"type": "number", "maximum": 0}, {"type": "number", "exclusiveMinimum": 1}
    ),
    ("repeatPolicy", "repeat"): {"enum": [True, False, "while", "until"]},
    ("repeatPolicy", "backoff"): {},
    ("secret", "name"): FILLED,
    ("secret", "provider"): FILLED,
    ("secret", "key"): FILLED,
}
