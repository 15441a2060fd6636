"""Values of callers, outputs and items are text: no command in them runs, in any place that takes values (S13)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.dagbook import Dagbook

PAYLOADS = (
    "`touch {hit}`",
    "$(touch {hit})",
    "a`touch {hit}`b",
    "\\`touch {hit}\\`",
    "${{IFS}}`touch {hit}`",
    "'; touch {hit}; '",
    '"; touch {hit}; "',
    '\\"; touch {hit}; \\"',
    "'$(touch {hit})'",
    "; touch {hit}",
    "| touch {hit}",
    "&& touch {hit} &",
    "a\ntouch {hit}\n",
    "${{X:-`touch {hit}`}}",
    '{{"k": "`touch {hit}`"}}',
    "EOF\ntouch {hit}\n",
    "\\\\`touch {hit}`",
    "$HOME ${{HOME}} ${{P}} $P",
    "#",
)
SAW = 'printf %s "${V}" > seen'
# One step each; P is the param of the caller.
PLACES: dict[str, dict[str, Any]] = {
    "the quoted reference in a command": {"command": 'printf %s "${P}" > seen'},
    "the quoted reference in a script": {"script": '# it\'s quoted\nprintf %s "${P}" > seen\n'},
    "the quoted reference between strings": {"command": 'printf %s "a "${P}" b" > seen'},
    "the quoted reference in $(…)": {"command": 'printf %s "$(printf %s "${P}")" > seen'},
    "the quoted reference in backticks of a script": {"script": 'printf %s "`printf %s "${P}"`" > seen\n:'},
    "the quoted reference in a here-document": {"script": 'cat > seen <<EOF\n"${P}"\nEOF\n'},
    "JSON in single quotes": {"command": """printf %s '{"k": "${P}"}' > seen"""},
    "an item of a command list": {"command": ["sh", "-c", 'printf %s "$1" > seen', "sh", "x ${P}"]},
    "a variable of the step": {"env": {"V": "${P}"}, "command": SAW},
    "a condition with an expected value": {
        "preconditions": [{"condition": "${P}", "expected": "re:."}],
        "command": "true",
    },
    "a condition that is a command": {"preconditions": ['test -n "${P}"'], "command": "true"},
    "backticks of the definition": {"env": {"V": '`printf %s "${P}"`'}, "command": SAW},
    "an operator of the shell": {"env": {"V": "${NONE:-${P}}"}, "command": SAW},
    "the environment of the process": {"command": "env > seen"},
    "the path of a redirect": {"command": "echo x", "stdout": "out-${P}"},
    "the directory of a step": {"workingDir": "in-${P}", "command": "true"},
    "a program without a shell": {"shell": "direct", "command": ["printf", "%s", "${P}"]},
    "a called DAG": {"call": "below", "params": 'V="${P}"'},
}
BELOW = {"name": "below", "steps": [{"command": SAW}]}


def _numbered(place: str, number: int) -> Any:
    """Return the step of a place for one of several params."""
    text = json.dumps({**PLACES[place], "continueOn": {"failure": True}})
    return json.loads(text.replace("${P}", f"${{P{number}}}").replace("seen", f"seen{number}"))


@pytest.mark.parametrize("declared", [False, True], ids=["undeclared", "declared"])
@pytest.mark.parametrize("place", PLACES)
async def test_no_command_in_the_value_of_a_caller_runs(
    dagbook: Dagbook, tmp_path: Path, place: str, declared: bool
) -> None:
    values = {f"P{number}": payload.format(hit=tmp_path / f"hit{number}") for number, payload in enumerate(PAYLOADS)}
    dag = {
        "workingDir": str(tmp_path),
        "params": dict.fromkeys(values, "none") if declared else None,
        "steps": [_numbered(place, number) for number in range(len(PAYLOADS))],
    }
    await dagbook.run(f"{json.dumps(dag)}\n---\n{json.dumps(BELOW)}", params=json.dumps(values))
    assert list(tmp_path.glob("hit*")) == []


@pytest.mark.always
@pytest.mark.parametrize("text", ['A="`touch {hit}`"', "`touch {hit}`", "A=`touch {hit}`", 'A="$(touch {hit})"'])
async def test_no_command_in_the_words_of_a_caller_runs(dagbook: Dagbook, tmp_path: Path, text: str) -> None:
    hit = tmp_path / "hit"
    spec = """steps: [{env: [V: '${A} ${1}'], command: 'echo "${A}" "${1}"'}]"""
    await dagbook.run(spec, params=text.format(hit=hit))
    assert not hit.exists()


def _as_json(value: str) -> str:
    return json.dumps({"P": value})


async def test_a_quoted_reference_gives_a_command_the_value_itself(dagbook: Dagbook, tmp_path: Path) -> None:
    values = {f"P{n}": payload.format(hit=tmp_path / "hit").replace("\n", " ") for n, payload in enumerate(PAYLOADS)}
    steps = [{"command": f'printf %s "${{{name}}}" > {name}'} for name in values]
    ended = await dagbook.run(json.dumps({"workingDir": str(tmp_path), "steps": steps}), params=json.dumps(values))
    assert ended.status == "succeeded"
    assert {name: (tmp_path / name).read_text() for name in values} == values


async def test_a_quoted_reference_in_single_quotes_stays_json(dagbook: Dagbook, tmp_path: Path) -> None:
    value = "it's $HOME `date`"
    spec = f"workingDir: {tmp_path}\nsteps: [{{command: 'printf %s ''{{\"k\": \"${{P}}\"}}'' > seen'}}]"
    await dagbook.run(spec, params=_as_json(value))
    assert json.loads((tmp_path / "seen").read_text()) == {"k": value}


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_no_command_in_an_output_or_an_item_runs(dagbook: Dagbook, tmp_path: Path, payload: str) -> None:
    (tmp_path / "value").write_text(json.dumps([payload.format(hit=tmp_path / "hit")]))
    spec = f"""
workingDir: {tmp_path}
steps:
  - {{name: read, command: cat value, output: OUT}}
  - {{name: use, env: [V: '${{OUT}}'], command: 'printf %s "${{OUT}}" > seen', depends: read}}
  - {{name: pass, call: below, params: 'V="${{OUT}}"', depends: read}}
  - {{name: each, call: below, parallel: '${{OUT}}', params: 'V="${{ITEM}}"', depends: read}}
  - {{name: items, call: below, parallel: '${{OUT}}', depends: read}}
---
name: below
steps: [{{env: [W: '${{V}} ${{1}}'], command: 'printf %s "${{V}}" "${{1}}"'}}]
"""
    await dagbook.run(spec)
    assert not (tmp_path / "hit").exists()
    assert (tmp_path / "seen").exists()


CALLS: dict[str, dict[str, Any]] = {
    "text": {"params": 'A="${ONE}" B="${TWO}" FORM=text'},
    "words": {"params": "A=${ONE} B=${TWO} FORM=words"},
    "map": {"params": {"A": "${ONE}", "B": "${TWO}", "FORM": "map"}},
    "list": {"params": [{"A": "${ONE}"}, {"B": "${TWO}"}, "FORM=list"]},
    "json": {"params": '{"A": "${ONE}", "B": "${TWO}", "FORM": "json"}'},
    "each": {"parallel": ["x"], "params": 'A="${ONE}" B="${TWO}" FORM=each'},
    "items": {"parallel": ['A="${ONE}" B="${TWO}" FORM=items']},
    "maps": {"parallel": [{"A": "${ONE}", "B": "${TWO}", "FORM": "maps"}]},
    "members": {"parallel": [{"X": "${ONE}", "Y": "${TWO}"}], "params": 'A="${ITEM.X}" B="${ITEM.Y}" FORM=members'},
}
# Two values that one DAG passes on: the end of the first one, and what would follow it.
PAIRS = (
    ("abc\\", "x BASH_ENV=$(touch hit) C=injected"),
    ('a" C="injected', "y"),
    ('a\\" C=injected b=\\"', '\\"'),
    ('"C=injected"', "C=injected D=1"),
    ("line\nC=injected", "`touch hit` C=injected"),
    ('{"C": "injected"}', '[{"C": "injected"}]'),
)


async def test_a_value_that_ends_in_a_backslash_stays_in_its_param_of_a_call(dagbook: Dagbook, tmp_path: Path) -> None:
    await _check_calls(dagbook, tmp_path, PAIRS[0])


@pytest.mark.full
@pytest.mark.parametrize("number", range(1, len(PAIRS)))
async def test_no_value_leaves_its_param_of_a_call(dagbook: Dagbook, tmp_path: Path, number: int) -> None:
    await _check_calls(dagbook, tmp_path, PAIRS[number])


async def _check_calls(dagbook: Dagbook, tmp_path: Path, values: tuple[str, str]) -> None:
    for name, value in zip(("one", "two"), values, strict=True):
        (tmp_path / name).write_text(value)
    calls = [{"name": form, "call": "below", "depends": ["one", "two"], **call} for form, call in CALLS.items()]
    seen = '{ printenv A B; printenv C || echo none; } > seen-"${FORM}"'
    dag = {
        "type": "graph",
        "workingDir": str(tmp_path),
        "steps": [
            {"name": "one", "command": "cat one", "output": "ONE"},
            {"name": "two", "command": "cat two", "output": "TWO"},
            *calls,
        ],
    }
    below = {"name": "below", "params": {"A": "", "B": "", "FORM": ""}, "steps": [{"shell": "bash", "command": seen}]}
    ended = await dagbook.run(f"{json.dumps(dag)}\n---\n{json.dumps(below)}")
    assert ended.status == "succeeded"
    found = {form: (tmp_path / f"seen-{form}").read_text() for form in CALLS}
    assert found == dict.fromkeys(CALLS, "\n".join((*values, "none\n")))
    assert not (tmp_path / "hit").exists()


async def test_a_value_without_a_name_is_one_param_of_a_call(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("A=1 B=2")
    spec = f"""
workingDir: {tmp_path}
steps:
  - {{name: read, command: cat out, output: OUT}}
  - {{name: pass, call: below, params: "${{OUT}}"}}
---
name: below
params: A=none
steps: [{{command: 'printf "%s|%s|%s" "${{1}}" "$A" "${{B-none}}" > seen'}}]
"""
    await dagbook.run(spec)
    assert (tmp_path / "seen").read_text() == "A=1 B=2|none|none"


@pytest.mark.parametrize("again", ["retry", "reschedule"])
async def test_no_command_in_the_value_of_a_caller_runs_at_a_later_attempt(
    dagbook: Dagbook, tmp_path: Path, again: str
) -> None:
    hit = tmp_path / "hit"
    spec = "steps: [{env: [V: '${P}'], command: 'test \"${P}\" = x'}]"
    first = await dagbook.run(spec, params=_as_json(f"`touch {hit}`"), dagRunId="r1")
    body: dict[str, Any] = {"dagRunId": "r1"} if again == "retry" else {}
    answer = await dagbook.client.post(f"{first.path}/{again}", json=body)
    assert answer.status_code == 200, answer.text
    await dagbook.finished("r1" if again == "retry" else answer.json()["dagRunId"])
    assert not hit.exists()


async def test_the_author_s_own_backticks_run(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"workingDir: {tmp_path}\nparams: 'P=`echo a`'\nsteps: [{{command: 'echo ${{P}} `echo b` > seen'}}]"
    await dagbook.run(spec)
    assert (tmp_path / "seen").read_text() == "a b\n"
