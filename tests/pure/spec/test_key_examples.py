"""The example of each key works in the smallest definition that can have it, and fits the JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry

from dagbook.spec.build.calls import EXECUTOR, PARALLEL
from dagbook.spec.build.dag_fields import OTEL, SCHEDULE
from dagbook.spec.build.object_schema import BASELINE, Key, Member
from dagbook.spec.build.output import OUTPUT
from dagbook.spec.build.policies import CONTINUE_ON
from dagbook.spec.config_keys import CONFIG_KEYS
from dagbook.spec.grammar import PARTS, schema
from dagbook.spec.model import SQL_TYPES
from dagbook.spec.reading.load import load
from tests.conftest import ROOT

VALIDATOR = Draft202012Validator(schema(), registry=Registry())
CHILD = "\n---\nname: load-one\nsteps: [echo]\n"
MAPS: dict[str, Mapping[str, Key | Member]] = {
    "executor": EXECUTOR,
    "parallel": PARALLEL,
    "output": OUTPUT,
    "continueOn": CONTINUE_ON.rows,
    "schedule": SCHEDULE,
    "otel": OTEL,
}
ROWS: dict[str, Mapping[str, Key | Member]] = {part: known.rows for part, known in PARTS.items()} | MAPS
EXAMPLES = {part: {key: row.example for key, row in rows.items()} for part, rows in ROWS.items()}
RELEASES = {"1.26", "1.26.7", "1.28", "1.29", "1.30", "Dagbook"}
_CHAT = '"type": "chat", "llm": {"provider": "openai", "model": "m"}, "messages": [{"role": "user", "content": "x"}]'
_STEP = '{"steps": [{"command": "x", "%s": %%s}]}'
# The smallest definition that can have an object; %s is the object with the key.
PLACES = {
    "dag": "%s",
    "step": '{"steps": [%s]}',
    **{
        part: f'{{"{part}": %s, "steps": ["x"]}}' for part in ("schedule", "otel", "handlerOn", "smtp", "mailOn", "ssh")
    },
    **{part: f'{{"{part}": %s, "steps": ["x"]}}' for part in ("runConfig", "container")},
    **{part: _STEP % part for part in ("output", "continueOn", "retryPolicy", "repeatPolicy")},
    "executor": '{"steps": [{"command": ".", "script": "{}", "executor": %s}]}',
    "parallel": '{"steps": [{"call": "load-one", "parallel": %s}]}',
    "mail": '{"errorMail": %s, "steps": ["x"]}',
    "secret": '{"secrets": [%s], "steps": ["x"]}',
    "condition": '{"preconditions": [%s], "steps": ["x"]}',
    "llm": f'{{"steps": [{{{_CHAT}, "llm": %s}}]}}',
    "thinking": f'{{"steps": [{{{_CHAT}, "llm": {{"provider": "openai", "model": "m", "thinking": %s}}}}]}}',
    "message": f'{{"steps": [{{{_CHAT}, "messages": [%s]}}]}}',
}
# What an object needs beside the key; a key may need something else.
NEEDS: dict[str, Any] = {
    "dag": {"steps": ["x"]},
    "step": {"command": "x"},
    **{key: {} for key in ("step.call", "step.run", "container.exec", "condition.command")},
    **{key: {"call": "load-one"} for key in ("step.params", "step.parallel", "step.workerSelector")},
    **{key: {"type": "http", "command": "GET http://localhost"} for key in ("step.type", "step.config")},
    **dict.fromkeys(("step.llm", "step.messages"), json.loads(f"{{{_CHAT}}}")),
    "step.executor": {"command": ".", "script": "{}"},
    "executor": {"type": "jq"},
    "output": {"name": "N"},
    "parallel": {"items": ["a"]},
    "retryPolicy": {"limit": 1, "intervalSec": 1},
    "repeatPolicy": {"condition": "x"},
    "container": {"image": "i", "startup": "command", "command": ["x"]},
    "secret": {"name": "N", "provider": "env", "key": "K"},
    "condition": {"condition": "x"},
    "llm": {"provider": "openai", "model": "m"},
    "message": {"role": "user", "content": "x"},
}


def definition(part: str, key: str) -> dict[str, Any]:
    """Make the smallest definition with the example of a key of an object."""
    one = NEEDS.get(f"{part}.{key}", NEEDS.get(part, {})) | {key: EXAMPLES[part][key]}
    made: dict[str, Any] = json.loads(PLACES[part] % json.dumps(one))
    if (part, key) == ("step", "depends"):
        return {"type": "graph", "steps": [{"name": "fetch", "command": "x"}, *made["steps"]]}
    return made


@pytest.mark.parametrize(("part", "key"), [(part, key) for part, keys in EXAMPLES.items() for key in keys])
def test_the_example_of_a_key_loads_and_fits_the_schema(part: str, key: str) -> None:
    document = definition(part, key)
    loaded = load(json.dumps(document) + CHILD, name="x")
    assert loaded.problems == ()
    told = [str(warning) for warning in loaded.warnings]
    assert len(told) == (key == "run"), told  # the old spelling of call
    assert VALIDATOR.is_valid(document)


@pytest.mark.parametrize("name", CONFIG_KEYS)
def test_the_examples_of_a_config_load_and_are_of_their_types(name: str) -> None:
    kind, _, inner = name.partition(": ")
    examples = {key: known.example for key, known in CONFIG_KEYS[name].items()}
    command = {"archive": "list", "http": "GET http://localhost", "jq": ".", "ssh": "ls", "docker": "ls"}.get(kind)
    command = "SELECT 1" if kind in SQL_TYPES else command
    one: dict[str, Any] = {"type": kind, "config": {inner: examples} if inner else examples}
    document = {"steps": [one | ({"command": command} if command else {})]}
    loaded = load(json.dumps(document), name="x")
    assert (loaded.problems, len(loaded.warnings)) == ((), int(kind in SQL_TYPES))
    assert VALIDATOR.is_valid(document)
    types = {"text": str, "boolean": bool, "whole number": int, "map": dict}
    for key, known in CONFIG_KEYS[name].items():
        allowed = tuple(made for word, made in types.items() if word in known.kind) + (list,) * ("list" in known.kind)
        assert isinstance(known.example, allowed), key
        assert known.default is None or isinstance(known.default, allowed), key
        assert known.meaning.endswith((".", "?")), key


@pytest.mark.parametrize("name", CONFIG_KEYS)
def test_every_key_of_a_config_is_read_somewhere(name: str) -> None:
    package = ROOT / "app" / "dagbook"
    readers = [*(package / "executors").rglob("*.py"), package / "spec" / "build" / "types.py"]
    texts = [text for path in readers if name.partition(":")[0] in (text := path.read_text(encoding="utf-8")).lower()]
    assert [key for key in CONFIG_KEYS[name] if not any(f'"{key}"' in text for text in texts)] == []


def test_the_release_of_a_key_is_one() -> None:
    since = {row.since for rows in ROWS.values() for row in rows.values()}
    used = {BASELINE, *since, *(known.since for keys in CONFIG_KEYS.values() for known in keys.values())}
    assert used == RELEASES
