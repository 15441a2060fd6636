"""Whatever comes in, loading answers: with a definition, or with problems that have a place."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.spec.build.root import ROOT
from dagbook.spec.build.steps import STEP
from dagbook.spec.reading.load import Loaded, load

VALID = """\
name: whole
type: graph
schedule: {start: "0 9 * * *", stop: ["0 18 * * *"]}
env: [A=1, {B: "${A}", C: [1, 2]}]
params: 'x K="a b"'
tags: [a, b]
container: &c {image: i, env: {X: y}, pullPolicy: never}
ssh: {host: h, port: 22}
secrets: [{name: S, provider: env, key: K}]
preconditions: [test, {condition: a, expected: "re:b", negate: true}]
handlerOn: {exit: {command: echo done}}
steps:
  - echo one
  - - {name: two, command: [echo, 2], retryPolicy: {limit: 1, intervalSec: 2, backoff: 1.5}}
    - {id: three, script: "exit 1", continueOn: {exitCode: [1]}}
  - {call: sub, params: {K: v}, parallel: {items: [a, {b: c}], maxConcurrent: 2}, depends: [two, three]}
  - {command: x, repeatPolicy: {repeat: until, exitCode: [0]}, executor: {type: http, config: {timeout: 5}}}
---
name: sub
steps: {only: {command: "a | b", signalOnStop: SIGINT}}
"""
# The parser counts lines as YAML 1.1 does.
LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
PIECES = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "'",
    '"',
    "&a ",
    "*a",
    "<<: ",
    "---\n",
    "!!str ",
    "#",
    "| ",
    "null",
    "5",
]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
trees = st.recursive(
    scalars, lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=6), child, max_size=3)
)
names = st.sampled_from([*ROOT.keys, *STEP.keys])
objects = st.recursive(scalars, lambda child: st.lists(child, max_size=3) | st.dictionaries(names, child, max_size=4))
definitions = st.dictionaries(st.sampled_from(ROOT.keys), objects, max_size=5)
steps = st.lists(st.dictionaries(st.sampled_from(STEP.keys), objects, max_size=4), max_size=3)


def check(loaded: Loaded, text: str) -> None:
    rows = len(LINE_BREAK.findall(text)) + 1
    for problem in loaded.problems:
        assert problem.message
        assert 0 <= problem.line <= rows + 1
    if not loaded.problems:
        assert loaded.require() == loaded.definition


@given(st.text(max_size=200))
@settings(max_examples=250, deadline=None)
def test_any_text_loads_or_is_refused(text: str) -> None:
    check(load(text), text)


@given(trees)
@settings(max_examples=150, deadline=None)
def test_any_json_loads_or_is_refused(tree: Any) -> None:
    text = json.dumps(tree)
    check(load(text), text)


@given(definitions, steps, st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_values_under_known_keys_load_or_are_refused(
    fields: dict[str, Any], listed: Any, metadata_only: bool
) -> None:
    text = json.dumps(fields | {"steps": listed})
    check(load(text, metadata_only=metadata_only), text)


@given(
    st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 5), st.sampled_from(PIECES)), min_size=1, max_size=4)
)
@settings(max_examples=300, deadline=None)
def test_a_damaged_definition_loads_or_is_refused(damages: list[tuple[int, int, str]]) -> None:
    text = VALID
    for place, length, piece in damages:
        text = text[:place] + piece + text[place + length :]
    check(load(text, base=VALID.partition("---")[0]), text)


def test_the_undamaged_definition_is_sound() -> None:
    assert load(VALID).problems == ()
