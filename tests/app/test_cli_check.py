"""``dagbook check``: a folder of definition files, as CI sees it."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from dagbook.cli import execute as run
from dagbook.spec.folder import RULES
from dagbook.spec.reading.yaml_reader import MAX_BYTES
from tests.app.program import CommandLine
from tests.conftest import ROOT

Captured = pytest.CaptureFixture[str]

TEMPLATES = (
    """\
# {name}
schedule: '0 3 * * *'
steps:
  - name: get
    command: curl https://h/{name}
  - name: put
    script: |
      echo a
      echo b
    depends: get
""",
    """\
params: [DAY: today]
tags: [a, b]
steps:
  - command: 'echo "${{DAY}}"'
    retryPolicy: {{limit: 2, intervalSec: 5}}
handlerOn:
  failure: {{command: echo failed}}
""",
    """\
type: graph
steps:
  a: {{command: echo a}}
  b: {{command: echo b, depends: [a]}}
  c: {{call: {team}.dag000}}
""",
    """\
steps:
  - call: local
    parallel: [1, 2]
  - call: '${{NAME}}'
  - call: dag000
---
name: local
params: [P: 1]
steps: [echo hello]
""",
)
FAULTS: dict[str, str | bytes] = {
    "faults/yaml.yaml": "steps:\n  - command: [\n",
    "faults/tab.yml": "steps:\n\t- echo\n",
    "faults/twice.yaml": "name: a\nname: b\nsteps: [echo]\n",
    "faults/empty.yaml": "",
    "faults/list.yaml": "- a\n",
    "faults/key.yaml": "steps:\n  - name: a\n    comand: echo\n",
    "faults/type.yaml": "timeoutSec: soon\nsteps: [echo]\n",
    "faults/cron.yaml": "schedule: every day\nsteps: [echo]\n",
    "faults/depends.yaml": "steps:\n  - {command: a, depends: nothing}\n",
    "faults/steps.yaml": "type: graph\nsteps:\n  a: {command: a, depends: b}\n  b: {command: b, depends: a}\n",
    "faults/binary.yaml": b"\x00\x01\x02",
    "faults/latin.yaml": "# é\nsteps: [echo]\n".encode("latin-1"),
    "faults/large.yaml": "#" * (MAX_BYTES + 1),
    "faults/later.yaml": "max_active_runs: 1\nsteps:\n  - run: echo a\n    retry_policy: {limit: 1}\n",
    f"faults/{'n' * 41}.yaml": "steps: [echo]\n",
    "team0.dag000.yaml": "steps: [echo]\n",
    "faults/call.yaml": "steps:\n  - call: gone\n",
    "faults/handler.yaml": "steps: [echo]\nhandlerOn:\n  exit: {call: team0.gone, parallel: [1]}\n",
    "faults/self.yaml": "steps:\n  - call: faults.self\n",
    "faults/cycle.yaml": "steps:\n  - call: team1.dag001\n",
}
RULE_OF_FAULT = {
    **dict.fromkeys(("binary", "latin", "large"), "file"),
    "later": "dialect",
    "n" * 41: "name",
    "team0.dag000": "clash",
    **dict.fromkeys(("call", "handler"), "call"),
    "self": "cycle",
}


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of 200 definition files with 20 faults, one of which needs two files."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(180):
        team, file = f"team{number % 9}", f"dag{number // 9:03}.yaml"
        # The first file of each team calls nothing.
        template = TEMPLATES[0 if number < 9 else number % 4]
        write(folder, {f"{team}/{file}": template.format(name=f"n{number}", team=team)})
    write(folder, {"team1/dag001.yaml": "steps:\n  - call: faults.cycle\n"})
    write(folder, FAULTS)
    write(folder, {".github/ci.yml": "on: [", "notes.md": "# no YAML", ".hidden.yaml": "steps: ["})
    assert len([file for file in folder.rglob("*.y*ml") if "/." not in str(file)]) == 200
    return folder


def test_of_200_files_the_20_faults_are_reported_and_nothing_else(large: Path, capsys: Captured) -> None:
    assert run(["check", str(large), "--format", "json"]) == 1

    report = json.loads(capsys.readouterr().out)
    assert (report["files"], report["warnings"]) == (200, [])
    problems = {problem["path"].removeprefix(f"{large}/"): problem for problem in report["problems"]}
    assert len(report["problems"]) == 20
    assert problems.keys() == FAULTS.keys()
    wrong = {
        path: problem
        for path, problem in problems.items()
        if problem["rule"] != RULE_OF_FAULT.get(Path(path).stem, "cycle" if "cycle" in path else "definition")
    }
    assert wrong == {}


def test_a_line_for_each_problem_and_one_for_all_are_printed(large: Path, capsys: Captured) -> None:
    assert run(["check", str(large)]) == 1

    captured = capsys.readouterr()
    *lines, summary = captured.out.splitlines()
    assert summary == "200 files, 20 problems, 0 warnings"
    assert len(lines) == 20
    assert f'{large}/faults/call.yaml:2:11: there is no DAG "gone" to call' in captured.out
    assert captured.err == ""


def test_the_junit_report_has_a_case_for_each_file(large: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "junit.xml"

    assert run(["check", str(large), "--format", "junit", "-o", str(out)]) == 1

    assert capsys.readouterr().out == "200 files, 20 problems, 0 warnings\n"
    root = ET.parse(out).getroot()  # noqa: S314 - our own report
    cases = root.findall("testsuite/testcase")
    failures = [case for case in cases if case.find("failure") is not None]
    assert (len(cases), len(failures)) == (200, 20)
    assert (root.get("tests"), root.get("failures")) == ("200", "20")


def test_the_sarif_report_names_rules_and_places(
    large: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(large.parent)

    assert run(["check", large.name, "--format", "sarif"]) == 1

    captured = capsys.readouterr()
    assert captured.err == "200 files, 20 problems, 0 warnings\n"
    report = json.loads(captured.out)
    (one,) = report["runs"]
    assert report["version"] == "2.1.0"
    assert [rule["id"] for rule in one["tool"]["driver"]["rules"]] == list(RULES)
    assert Counter(result["level"] for result in one["results"]) == {"error": 20}
    places = [result["locations"][0]["physicalLocation"] for result in one["results"]]
    assert all(place["region"]["startLine"] >= 1 <= place["region"]["startColumn"] for place in places)
    assert {place["artifactLocation"]["uri"] for place in places} == {f"{large.name}/{path}" for path in FAULTS}


def test_a_good_folder_passes(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, {"a.yaml": "steps: [{call: b.c}]\n", "b/c.yml": "steps: [echo]\n"})

    assert run(["check", str(tmp_path), "--strict"]) == 0

    assert capsys.readouterr().out == "2 files, 0 problems, 0 warnings\n"


@pytest.mark.parametrize("kind", ["text", "json", "junit", "sarif"])
def test_warnings_fail_only_when_it_is_asked_for(tmp_path: Path, capsys: Captured, kind: str) -> None:
    write(tmp_path, {"a.yaml": "tags: 5\nsteps: [echo]\n"})

    assert run(["check", str(tmp_path), "--format", kind]) == 0
    shown = capsys.readouterr().out
    assert run(["check", str(tmp_path), "--format", kind, "--strict"]) == 1

    assert "must be a text or a list of texts" in shown
    assert ("<failure" in capsys.readouterr().out) is (kind == "junit")
    assert "<failure" not in shown


def test_the_base_configuration_is_merged_and_checked(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, {"a.yaml": "steps: [echo]\n", "b.yaml": "steps: [echo]\n", "base.yaml": "bad: 1\n"})
    base = tmp_path / "base.yaml"

    assert run(["check", str(tmp_path), "--base", str(base)]) == 1

    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{base}:1:1: bad: ")
    assert last == "2 files, 1 problem, 0 warnings"


def test_params_are_checked_against_their_schema(tmp_path: Path, capsys: Captured) -> None:
    write(
        tmp_path,
        {
            "a/b.yaml": "params: {schema: s.json, values: {n: x}}\nsteps: [echo]\n",
            "a/s.json": '{"type": "object", "properties": {"n": {"type": "integer"}}}',
        },
    )

    assert run(["check", str(tmp_path)]) == 1

    assert capsys.readouterr().out.startswith(f"{tmp_path}/a/b.yaml:1:1: params")


def test_links_are_followed_but_not_in_circles(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path / "dags", {"a/b.yaml": "steps: [{call: else.d}]\n"})
    write(tmp_path / "elsewhere", {"d.yaml": "steps: [echo]\n"})
    (tmp_path / "dags" / "else").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "dags" / "a" / "up").symlink_to("..")
    (tmp_path / "dags" / "broken.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "dags" / "pipe.yaml")

    assert run(["check", str(tmp_path / "dags")]) == 1

    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/dags/broken.yaml:1:1: No such file or directory",
        f"{tmp_path}/dags/pipe.yaml:1:1: is no file",
        "4 files, 2 problems, 0 warnings",
    ]


@pytest.mark.parametrize("kind", ["text", "json", "junit", "sarif"])
def test_hostile_names_and_texts_leave_a_report_whole(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "dags"
    write(folder, {"a\x1b[2J\n.yaml": "'\\e[31m]]>': 1\n", os.fsdecode(b"\xff.yaml"): 'steps: [{call: "\\u0001<&"}]\n'})
    out = tmp_path / "report"

    assert run(["check", str(folder), "--format", kind, "-o", str(out)]) == 1

    text = out.read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\x01" not in text
    if kind == "junit":
        assert ET.fromstring(text).get("failures") == "2"  # noqa: S314 - our own report
    elif kind != "text":
        json.loads(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone"], "gone: there is no such folder"),
        (["file.yaml"], "file.yaml: is no folder"),
        (["empty"], "empty: there is no *.yaml or *.yml file in this folder"),
        (["dags", "--base", "gone.yaml"], "gone.yaml: No such file or directory"),
        (["dags", "-o", "gone/out"], "gone/out: No such file or directory"),
        (["dags", "--format", "csv"], "'csv' is not one of"),
    ],
)
def test_what_cannot_be_checked_is_told_in_a_sentence(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    write(tmp_path, {"file.yaml": "steps: [echo]\n", "dags/a.yaml": "steps: [echo]\n", "empty/.a.yaml": "steps: ["})
    monkeypatch.chdir(tmp_path)

    assert run(["check", *arguments]) == 1

    assert words in capsys.readouterr().err


def _hook() -> dict[str, Any]:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return dict(hook)


async def test_the_pre_commit_hook_runs_without_a_database(tmp_path: Path) -> None:
    hook = _hook()
    write(tmp_path, {"dags/a.yaml": "steps: [{call: gone}]\n"})
    program, *words = hook["entry"].split()

    said = await CommandLine(tmp_path).run(*words, *hook["args"])

    assert (hook["id"], program, hook["pass_filenames"]) == ("dagbook-check", "dagbook", False)
    assert said.status == 1
    assert said.out.startswith('dags/a.yaml:1:16: there is no DAG "gone" to call')
    assert [file.name for file in tmp_path.iterdir()] == ["dags"]
