"""The JSON Schema of the format: whatever the format accepts fits, and what is plainly wrong does not."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry

from dagbook.spec.build.field import unwrap
from dagbook.spec.grammar import PARTS, schema
from dagbook.spec.reading.load import load
from dagbook.spec.reading.yaml_reader import read_text
from tests.conftest import ROOT
from tests.selection import Share

CORPUS = ROOT.parent / "shared" / "conformance" / "workflows" / "cases"
VALIDATOR = Draft202012Validator(schema(), registry=Registry())
_NOT_A_TEXT: tuple[Any, ...] = (
    None,
    0,
    1,
    7,
    -1,
    2.0,
    1.5,
    0.5,
    True,
    False,
    [],
    ["x"],
    [1],
    [None],
    [["x"]],
    {},
    {"a": "b"},
    {"a": 1},
)
SAMPLES: tuple[Any, ...] = (*_NOT_A_TEXT, "", " ", "x", "A=1", "5s", "5", "always", "failed", "* * * * *", "SIGINT")

# Where a value of a part stands in a document; %s is the object whose keys are tried.
PLACES = {
    "dag": "%s",
    "step": '{"steps": [%s]}',
    "handlerOn": '{"handlerOn": %s}',
    "smtp": '{"smtp": %s}',
    "mailOn": '{"mailOn": %s}',
    "mail": '{"errorMail": %s}',
    "container": '{"container": %s}',
    "ssh": '{"ssh": %s}',
    "secret": '{"secrets": [%s]}',
    "runConfig": '{"runConfig": %s}',
    "retryPolicy": '{"steps": [{"command": "x", "retryPolicy": %s}]}',
    "repeatPolicy": '{"steps": [{"command": "x", "repeatPolicy": %s}]}',
    "condition": '{"preconditions": [%s]}',
    "llm": '{"llm": %s}',
    "thinking": '{"llm": {"thinking": %s}}',
    "message": '{"steps": [{"type": "chat", "messages": [%s]}]}',
}
COMPLETE: dict[str, dict[str, Any]] = {
    "step": {"command": "x", "call": "y"},
    "container": {"image": "i"},
    "secret": {"name": "N", "provider": "env", "key": "K"},
    "retryPolicy": {"limit": 1, "intervalSec": 1},
    "condition": {"condition": "x"},
    "message": {"role": "user", "content": "x"},
}
FIELDS = [(part, key) for part, known in PARTS.items() for key in known.keys]

# Fields whose mistakes a schema cannot all tell, and why.
BEYOND = {
    ("step", "id"): "ids of handlers are free, and handlers are steps",
    ("step", "depends"): "no schema knows which steps there are",
    ("retryPolicy", "limit"): "to JSON Schema 2.0 is a whole number",
    ("retryPolicy", "intervalSec"): "to JSON Schema 2.0 is a whole number",
}


def _documents(text: str) -> list[Any]:
    return [value for node in read_text(text).documents if (value := unwrap(node)) not in ({}, None)]


def _fits(document: Any) -> bool:
    return VALIDATOR.is_valid(document)


def _explain(document: Any) -> str:
    return "; ".join(f"{error.json_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(document))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(("part", "key"), FIELDS)
def test_every_field_has_a_description(part: str, key: str) -> None:
    assert schema()["$defs"][part]["properties"][key]["description"].endswith(".")


def test_no_key_is_required_that_the_format_does_not_have() -> None:
    for part, known in PARTS.items():
        assert set(known.required) | set(known.defaults) <= set(known.keys), part


def _tried(part: str, key: str) -> Iterator[tuple[Any, Any, bool]]:
    """Put every sample into a field; gives the sample, the document, and whether the format accepts it."""
    for sample in SAMPLES:
        text = PLACES[part] % json.dumps(COMPLETE.get(part, {}) | {key: sample})
        yield sample, json.loads(text), not load(text, name="x").problems


@pytest.mark.parametrize(("part", "key"), FIELDS)
def test_what_the_format_accepts_in_a_field_fits(part: str, key: str) -> None:
    refused = [(sample, _explain(document)) for sample, document, valid in _tried(part, key) if valid]
    assert [one for one in refused if one[1]] == []


@pytest.mark.parametrize(("part", "key"), FIELDS)
def test_what_the_format_refuses_in_a_field_does_not_fit(part: str, key: str) -> None:
    accepted = [sample for sample, document, valid in _tried(part, key) if not valid and _fits(document)]
    assert bool(accepted) is ((part, key) in BEYOND), accepted


def _own_texts(share: Share) -> list[str]:
    """The texts in a share of our own tests that are valid definitions with steps."""
    found = {
        node.value
        for file in share.of(sorted((ROOT / "tests").rglob("*.py")))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "steps:" in node.value
    }
    return [text for text in sorted(found) if _is_valid(text)]


def _is_valid(text: str) -> bool:
    loaded = load(text, name="x")
    return not loaded.problems and not loaded.empty


def test_every_valid_definition_in_our_own_tests_fits(share: Share) -> None:
    texts = _own_texts(share)
    assert len(texts) > 100 // share.size
    assert [(text, why) for text in texts for document in _documents(text) if (why := _explain(document))] == []


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of workflows is not on this machine")
def test_every_valid_definition_of_the_corpus_fits() -> None:
    specs = [yaml.safe_load(file.read_text(encoding="utf-8")).get("spec") for file in sorted(CORPUS.rglob("*.yaml"))]
    texts = [text for text in specs if text and _is_valid(text.replace("__NAME__", "n"))]
    assert len(texts) > 200
    documents = [document for text in texts for document in _documents(text.replace("__NAME__", "n"))]
    assert [(document, why) for document in documents if (why := _explain(document))] == []


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "text",
        "stepz: []",
        "x-mine: 1",
        "name: 5",
        "name: a b",
        "type: agent",
        "type: Graph",
        "schedule: '@daily'",
        "schedule: {every: '* * * * *'}",
        "schedule: {start: [['* * * * *']]}",
        "env: [X]",
        "params: 5",
        "params: {schema: s.json, values: 5}",
        "dotenv: 5",
        "timeoutSec: '5'",
        "skipIfSuccessful: 'true'",
        "steps: x",
        "steps: [5]",
        "steps: [null]",
        "steps: ['']",
        "steps: [[[x]]]",
        "steps: {a: x}",
        "steps: [{comand: x}]",
        "steps: [{command: ''}]",
        "steps: [{command: 5}]",
        "steps: [{command: x, timeoutSec: -1}]",
        "steps: [{command: x, signalOnStop: INT}]",
        "steps: [{command: x, executor: {type: http, konfig: {}}}]",
        "steps: [{command: x, executor: {config: null}}]",
        "steps: [{command: x, continueOn: failure}]",
        "steps: [{command: x, continueOn: {failure: null}}]",
        "steps: [{command: x, continueOn: {exitCode: [1, two]}}]",
        "steps: [{command: x, continueOn: true}]",
        "steps: [{command: x, retryPolicy: {limit: 1}}]",
        "steps: [{command: x, retryPolicy: {limit: null, intervalSec: 1}}]",
        "steps: [{command: x, retryPolicy: {limit: 1, intervalSec: 1, backoff: 0.5}}]",
        "steps: [{command: x, retryPolicy: {limit: 1, intervalSec: 1, exitCode: 1}}]",
        "steps: [{command: x, repeatPolicy: {repeat: sometimes}}]",
        "steps: [{command: x, repeatPolicy: {repeat: while}}]",
        "steps: [{command: x, repeatPolicy: {repeat: until, expected: y}}]",
        "steps: [{call: x, parallel: []}]",
        "steps: [{call: x, parallel: {}}]",
        "steps: [{call: x, parallel: {items: [a], maxConcurrent: 0}}]",
        "steps: [{call: x, parallel: [{a: [b]}]}]",
        "preconditions: [{expected: x}]",
        "preconditions: [{condition: x, expected: 5}]",
        "preconditions: [{condition: x, wanted: y}]",
        "handlerOn: {success: x}",
        "handlerOn: {abort: {command: x}, cancel: {command: x}}",
        "handlerOn: {error: {command: x}}",
        "container: {}",
        "container: ''",
        "container: 5",
        "container: {image: x, exec: y}",
        "container: {exec: y, ports: ['80']}",
        "container: {exec: y, keepContainer: true}",
        "steps: [{command: x, container: []}]",
        "steps: [{script: x, container: y}]",
        "container: {image: x, pullPolicy: sometimes}",
        "ssh: {host: x, port: true}",
        "secrets: {name: x}",
        "secrets: [{name: x, provider: env}]",
        "secrets: [{name: x, provider: env, key: k, options: {a: 1}}]",
        "workerSelector: {gpu: true}",
        "registryAuths: []",
        "otel: []",
        "otel: {timeout: soon}",
        "runConfig: {disableParamEdit: 1}",
    ],
)
def test_invalid_definitions_do_not_validate(text: str) -> None:
    assert load(text, name="x").problems
    assert not any(_fits(document) for document in _documents(text))


def test_keys_count_in_any_case_of_letters() -> None:
    assert _fits({"STEPS": [{"Command": "x", "retrypolicy": {"LIMIT": 1, "INTERVALSEC": 1}}]})
    assert not _fits({"TIMEOUTSEC": "5"})
    assert not _fits({"steps": [{"command": "x", "RETRYPOLICY": {"LIMIT": 1}}]})
