"""Hostile texts of definitions and callers: each never ends, explodes, or is much work for its size."""

from __future__ import annotations

import json
from typing import Any

import msgspec

SIZE = 2**20
DIRECTORY = "@DIRECTORY@"  # stands in a definition for that of the files of its poison
_A = f"head -c {SIZE} /dev/zero | tr '\\0' a"
_HALF = f"head -c {SIZE // 2} /dev/zero | tr '\\0' a"
_OBJECT = {"A": '{"a": 1}'}


class Poison(msgspec.Struct, frozen=True):
    """A definition with the params of its caller and the files in its directory, and how that has to end.

    ``end`` is the status of the run, or that of the response if the start is refused; ``reason`` is a part of what is
    said about it.
    """

    spec: str
    reason: str
    end: str = "failed"
    params: str = ""
    files: dict[str, str] = {}


def fill(head: str, item: str, tail: str = "") -> str:
    """Repeat an item up to the largest size of a text."""
    return head + item * ((SIZE - 100 - len(head) - len(tail)) // len(item)) + tail


def _dag(*steps: dict[str, Any], **fields: Any) -> str:
    named = [{"name": f"s{number}", **step} for number, step in enumerate(steps)]
    return json.dumps({"workingDir": DIRECTORY, **fields, "steps": named or [{"name": "s0", "command": "true"}]})


def _jq(program: str, script: str = "1") -> str:
    return _dag({"executor": "jq", "command": program, "script": script})


def _reference(program: str) -> str:
    return _dag({"command": f"echo ${{A.a | {program}}}"}, params=_OBJECT)


def _env(**env: str) -> str:
    """Make a DAG with these variables, in their order."""
    return _dag(env=[f"{name}={value}" for name, value in env.items()])


def _nested(depth: int, inner: str = "") -> str:
    return "[" * depth + inner + "]" * depth


JQ = {
    "end": Poison(_jq("def f: f; f"), "jq: the program took "),
    "results": Poison(_jq("repeat(1) | empty"), "jq: the program took "),
    "output": Poison(_jq("repeat(1)"), "jq: the program took "),
    "recursion": Poison(_jq("def f: [f, f]; f"), "jq: the program "),
    "combinations": Poison(_jq("[range(1000)] | [combinations(9)?, (., . , .)] | length"), "jq: the program "),
    "memory": Poison(
        _jq('reduce range(60) as $i ("a"; . + .) | length'), "the program needs more than 1024 MiB of memory"
    ),
    "nested-input": Poison(_jq(".", _nested(200_000)), "jq: the script is nested too deeply"),
    "nested-result": Poison(_jq("reduce range(5000) as $i (0; [.])"), "jq: a result is nested too deeply"),
    "words": Poison(_jq(".|" * 400_000 + "."), "steps[0].command: may have 10,000 words", "400"),
    "long-program": Poison(_jq(".a" * 200_000), "jq: the program"),
}
REFERENCES = {
    # Of processor time or, on a busy machine, of time.
    "end": Poison(_reference("def f: f; f"), 'def f: f; f" took '),
    "memory": Poison(_reference('reduce range(60) as $i ("a"; . + .) | length'), "needs more than 512 MiB of memory"),
    "long-result": Poison(_reference('"x" * 20000000'), "has a result of more than"),
    "many-programs": Poison(
        _dag(
            {"env": [f"V{number}=${{A.a | repeat({number}) | empty}}" for number in range(50)], "command": "exit 7"},
            params=_OBJECT,
        ),
        "exit status 7",
    ),
    "nested-json": Poison(
        _dag({"env": ["V=${A.[0]}", "W=${A.[0][0] | .[0]}"], "command": "exit 7"}, params=[{"A": _nested(700)}]),
        "exit status 7",
    ),
    "many-paths": Poison(
        _dag(
            {"command": f"printf '[%s1]' \"$(yes '[],' | head -n {SIZE // 4 - 10})\"", "output": "OUT"},
            {"script": "${OUT.[1]} " * 80_000 + "exit 7"},
        ),
        "Argument list too long",
    ),
}
PATTERNS = {
    "continue-on": Poison(
        _dag({"script": f"{_A}; exit 1", "continueOn": {"output": ["re:^(a+)+b$", "re:(a|a)*b"]}}), "exit status 1"
    ),
    "too-large-for-the-output": Poison(
        _dag({"script": f"{_A}; exit 1", "continueOn": {"output": r"re:(\pL{10}){5}\d"}}),
        "continueOn.output was not found: is too large for a text of",
    ),
    "thousands": Poison(
        _dag({"script": f"{_A}; exit 1", "continueOn": {"output": [f"re:(a*)*b{n}" for n in range(2000)]}}),
        "exit status 1",
    ),
    "condition": Poison(
        _dag(preconditions=[{"condition": f"`{_A}`", "expected": "re:^(a+)+b$"}]), "condition not met", "aborted"
    ),
    "plain-condition": Poison(
        _dag(preconditions=[{"condition": "`yes '' | head -c 16000000; echo`", "expected": "x"}]),
        "condition not met",
        "aborted",
    ),
    "lines-of-a-condition": Poison(
        _dag(preconditions=[{"condition": "`yes | head -c 16000000`", "expected": "x"}]),
        "condition not met",
        "aborted",
    ),
    "too-large-for-the-condition": Poison(
        _dag(preconditions=[{"condition": f"`{_A}`", "expected": r"re:(\pL{10}){5}\d"}]),
        "is too large for a text of",
        "aborted",
    ),
    "repeat-policy": Poison(
        _dag(
            {
                "command": "exit 7",
                "repeatPolicy": {
                    "repeat": "until",
                    "condition": f"`{_A}`",
                    "expected": "re:(a|a|a)*b",
                    "limit": 3,
                    "intervalSec": 1,
                },
                "continueOn": {"failure": False},
            }
        ),
        "exit status 7",
    ),
    "long-conditions": Poison(
        _dag(preconditions=[{"condition": "a" * 20, "expected": f"re:(a*)*{n}"} for n in range(10_000)]),
        "condition not met",
        "aborted",
    ),
    "shell-pattern": Poison(
        _env(A=f"`{_A}`", B="${A//" + "*a" * 2000 + "b/}"), "the pattern is too large for its value"
    ),
    "replacements": Poison(_env(A=f"`{_HALF}`", B="${A//[a]/}" * 20_000), "takes too long to evaluate"),
    "literal-patterns": Poison(
        _env(A=f"`{_HALF}`", B="".join(f"${{A#{n}$A}}" for n in range(10, 3000))), "takes too long to evaluate"
    ),
    "cases": Poison(_env(A=f"`{_A}`", B="${A^^[b]}" * 12), "Argument list too long"),
}


def _schema(schema: object, reason: str, values: dict[str, Any] | None = None) -> Poison:
    """Make the start of a DAG whose params have a schema; it is refused."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    spec = _dag(params={"schema": "schema.json", "values": values or {"A": "a"}})
    return Poison(spec, reason, "400", files={"schema.json": text})


def _property(schema: object) -> dict[str, Any]:
    return {"properties": {"A": schema}}


def _alternatives(keyword: str, depth: int) -> dict[str, Any]:
    """Make definitions of which each asks for the next one twice."""
    following = [{"$ref": f"#/$defs/d{n + 1}"} for n in range(depth)]
    return {f"d{n}": {keyword: [following[n]] * 2} for n in range(depth)} | {f"d{depth}": {"type": "string"}}


_TOO_LONG = "checking the schema takes too long"
_WITHOUT_END = "the schema refers to itself without end, or is nested too deeply"
SCHEMAS = {
    "exponential-references": _schema(
        _property({"$ref": "#/$defs/d0"}) | {"$defs": _alternatives("allOf", 40)}, _TOO_LONG
    ),
    "alternatives": _schema(_property({"$ref": "#/$defs/d0"}) | {"$defs": _alternatives("oneOf", 40)}, _TOO_LONG),
    "unevaluated": _schema(
        {"$ref": "#/$defs/d0", "$defs": _alternatives("anyOf", 40), "unevaluatedProperties": False}, _TOO_LONG
    ),
    "loop": _schema({"$ref": "#"}, _WITHOUT_END),
    "long-loop": _schema(
        {"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
        _WITHOUT_END,
    ),
    "pattern": _schema(_property({"pattern": "^(a+)+$"}), "does not match the schema", {"A": "a" * 500_000 + "!"}),
    "large-pattern": _schema(_property({"pattern": r"(\pL{100}){100}"}), "the schema's pattern"),
    "look-ahead": _schema(_property({"pattern": "^(?=(a+)+$)"}), "the schema's pattern"),
    "pattern-properties": _schema(
        {"patternProperties": {f"(a|b|{n})*c": {"pattern": "(a*)*d"} for n in range(3000)}},
        _TOO_LONG,
        {f"V{n}": "a" * 900 for n in range(900)},
    ),
    "deep": _schema('{"not":' * 100_000 + "true" + "}" * 100_000, "is no JSON Schema"),
    "nested": _schema('{"not":' * 300 + "true" + "}" * 300, "params"),
    "enum": _schema(_property({"enum": list(range(100_000))}), "the schema has more than 10000 values"),
    "long-enum": _schema(
        {"additionalProperties": {"enum": ["x" * 900 + str(n) for n in range(1000)]}},
        "does not match the schema",
        {f"V{n}": "x" * 900 for n in range(900)},
    ),
    "unique-items": _schema(
        _property({"uniqueItems": True, "contains": {"const": 7}, "items": {"not": {"const": 8}}}),
        _TOO_LONG,
        {"A": json.dumps([[n] for n in range(90_000)])},
    ),
    "large-numbers": _schema(_property({"multipleOf": 1e-300}), "params", {"A": "1" + "0" * 400}),
    "elsewhere": _schema(_property({"$ref": "http://192.0.2.1/schema.json"}), "which it does not hold"),
    "megabytes": _schema('{"title": "' + "x" * 3 * SIZE + '"}', "the limit here"),
}

EXPANSION = {
    "doubling-env": Poison(_env(V0=f"`{_A}`", **{f"V{n}": f"$V{n - 1}" * 2 for n in range(1, 60)}), "grows beyond"),
    "doubling-params": Poison(
        _dag(params=[{"V0": "x" * 100}, *({f"V{n}": f"$V{n - 1}" * 2} for n in range(1, 60))]),
        "params: a value could not be evaluated",
        "400",
    ),
    "itself": Poison(
        _dag({"command": "exit 7"}, env=[f"A={fill('', '$A')[: SIZE // 2]}", "B=${B:-${A:-$B}}", "A=$B$A$A"]),
        "exit status 7",
    ),
    "nested-defaults": Poison(
        _dag({"command": "exit 7"}, env=["A=" + "${A:-" * 100_000 + "}" * 100_000]), "exit status 7"
    ),
    "open-braces": Poison(_dag({"command": "exit 7"}, env=["A=$(" + "${" * 400_000]), "exit status 7"),
    "open-braces-in-a-directory": Poison(_dag({"command": "exit 7"}, workingDir="/" + "${" * 400_000), "exit status 7"),
    "arithmetic": Poison(
        _dag({"command": "exit 7"}, env=["A=" + "$((" * 150 + "1" + " " * (SIZE // 2) + "))" * 150]), "exit status 7"
    ),
    "much-arithmetic": Poison(
        _dag({"command": "exit 7"}, env=[f"A{n}={'$((9**9**9))' * 60}" for n in range(1000)]), "exit status 7"
    ),
    "parentheses": Poison(
        _dag({"command": "exit 7"}, env=["A=$((" + "(" * 400_000 + ")" * 400_000 + "))"]), "Argument list too long"
    ),
    "subshells": Poison(
        _dag({"script": "exit 7\n" + "(:)\n" * 100_000 + '"${P}"'}, params=[{"P": "x"}]), "exit status 7"
    ),
    "quotes": Poison(_dag({"script": 'exit 7\n"${P}" ' + '"$( ' * 150_000}, params=[{"P": "x"}]), "exit status 7"),
    "here-documents": Poison(
        _dag({"script": "".join(f": <<A{n}\nA{n}\n" for n in range(40_000)) + ': "${P}"\nexit 7'}, params=[{"P": "x"}]),
        "exit status 7",
    ),
    "long-values": Poison(_dag({"command": _A, "output": "OUT"}, {"script": "$OUT " * 100_000}), "grows beyond"),
    "long-environment": Poison(_dag({"command": _A, "output": "OUT"}, {"command": "true"}), "Argument list too long"),
    "long-output": Poison(
        _dag({"command": "head -c 2000000 /dev/zero", "output": "OUT"}), "the output is larger than the limit"
    ),
    "longer-output": Poison(
        _dag({"command": f"head -c {64 * SIZE} /dev/zero", "output": "OUT"}, maxOutputSize=2**40),
        "the output is larger than the limit",
    ),
    "printing-command": Poison(_env(A="`head -c 100000000 /dev/zero`"), "printed more than"),
    "endless-command": Poison(_env(A="`sleep 300`"), "took longer than"),
}

PARAMS = {
    name: Poison(_dag(), reason, "400", params=text)
    for name, reason, text in (
        ("quotes", "params: there are more than", '"' * SIZE),
        ("words", "params: there are more than", "a=b " * (SIZE // 4)),
        ("backticks", "params: there are more than", '`"' * (SIZE // 2)),
        ("escaped-quotes", "params: there are more than", '"\\" ' * (SIZE // 4)),
        ("equals", "params: there are more than", "= " * (SIZE // 2)),
        ("json", "params: there are more than", "[" + "1," * (SIZE // 2 - 2) + "1]"),
        ("too-long", "params: the text is longer than", "a" * (SIZE + 1)),
    )
}
PARAMS |= {
    "nested": Poison(_dag({"command": "exit 7"}), "exit status 7", params='{"A": ' + _nested(700) + "}"),
    "blanks": Poison(_dag({"command": "exit 7"}), "exit status 7", params=" " * SIZE),
    "blanks-for-defaults": Poison(
        _dag({"command": "exit 7"}, runConfig={"disableParamEdit": True}), "exit status 7", params=" " * SIZE
    ),
    "brackets": Poison(_dag({"command": "exit 7"}), "exit status 7", params="[" * SIZE),
    "long-value": Poison(_dag({"command": "exit 7"}), "Argument list too long", params='A="' + '\\"' * 500_000 + '"'),
}


def _dotenv(text: str, reason: str = "exit status 7") -> Poison:
    return Poison(_dag({"command": "exit 7"}, dotenv=".env"), reason, files={".env": text})


DOTENV = {
    "doubling": _dotenv("A=" + "a" * 100 + "".join(f"\nA=$A$A{n}" for n in range(100))),
    "copies": _dotenv("A=" + "a" * 500_000 + "".join(f"\nB{n}={'$A' * 30}" for n in range(5_000))),
    "lines": _dotenv("A=1\n" * (SIZE // 4)),
    "names": _dotenv("".join(f"A{n}=\n" for n in range(120_000))),
    "comments": _dotenv("#\n" * (SIZE // 2)),
    "quote": _dotenv('A="' + '\\"' * 500_000),
    "device": Poison(_dag({"command": "exit 7"}, dotenv="/dev/zero"), "exit status 7"),
}


def _calls(items: object, *, below: dict[str, Any] | None = None, **call: Any) -> str:
    called = json.dumps({"name": "below", "steps": [{"name": "b", **(below or {"command": "true"})}]})
    return f"{_dag({'call': 'below', 'parallel': items, **call})}\n---\n{called}"


def _output(command: str, most: int, **call: Any) -> str:
    first = {"command": command, "output": "OUT"}
    called = json.dumps({"name": "below", "steps": [{"name": "b", "command": "exit 7"}]})
    return f"{_dag(first, {'call': 'below', **call}, maxOutputSize=most)}\n---\n{called}"


CALLS = {
    "itself": Poison(
        _dag({"call": "down"}) + "\n---\n" + json.dumps({"name": "down", "steps": [{"name": "d", "call": "down"}]}),
        "is 100 levels deep",
    ),
    "items": Poison(_calls([str(n) for n in range(50_000)]), "items are too many"),
    "item-text": Poison(_output("yes | head -c 1000000", SIZE, parallel="${OUT}"), "items are too many"),
    "long-item-text": Poison(
        _output("yes '\"' | head -c 15000000 | tr '\\n' ' '", 2**24, parallel="${OUT}"),
        "the text of the items has more than",
    ),
    "nested-items": Poison(_output(f"echo '{_nested(50_000)}'", SIZE, parallel="${OUT}"), "1 of 1 items failed"),
    "long-params": Poison(
        _output(_A, SIZE, parallel=[str(n) for n in range(1000)], params="A=${OUT} I=${ITEM}"),
        "the params of all items together",
    ),
}
RUNS = {
    f"{kind}-{name}": poison
    for kind, table in (
        ("jq", JQ),
        ("reference", REFERENCES),
        ("pattern", PATTERNS),
        ("schema", SCHEMAS),
        ("expansion", EXPANSION),
        ("params", PARAMS),
        ("dotenv", DOTENV),
        ("call", CALLS),
    )
    for name, poison in table.items()
}
# Each takes a core, or the time of a limit, for many seconds.
LONG_RUNS = frozenset(
    (
        *("jq-end", "jq-results", "jq-output", "jq-combinations", "reference-many-programs"),
        *("pattern-thousands", "expansion-endless-command"),
    )
)
# Each goes on until it is stopped, or for much longer than a test.
STUCK = {
    "jq": RUNS["jq-end"].spec,
    "output": RUNS["jq-output"].spec,
    "retries": _dag({"command": "exit 1", "retryPolicy": {"limit": 10**15, "intervalSec": 0}}),
    "repetitions": _dag({"command": "true", "repeatPolicy": {"repeat": True, "intervalSec": 0}}),
    "waiting": _dag({"command": "exit 1", "retryPolicy": {"limit": 10**15, "intervalSec": 10**15, "backoff": 1e9}}),
    "timeouts": _dag({"command": "sleep 300", "timeoutSec": 10**18}, timeoutSec=10**18, delaySec=10**18),
}
