"""A folder of definition files: names, calls between files, and what each file says about itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import pytest

from dagbook.spec.folder import BASE_PATH, RULES, Finding, FolderCheck

GOOD = "steps: [echo]\n"


def checked(
    files: Mapping[str, str | None], *, base: str = "", others: Collection[str] = (), warnings: bool = False
) -> list[Finding]:
    exists: Callable[[str], bool] = lambda path: path in others  # noqa: E731
    check = FolderCheck(base=base, exists=exists)
    for path, text in files.items():
        check.add(path, text, "unreadable")
    return [finding for finding in check.finish() if warnings or not finding.is_warning]


def found(files: Mapping[str, str | None], base: str = "", others: Collection[str] = ()) -> list[tuple[str, int, str]]:
    findings = checked(files, base=base, others=others)
    assert all(finding.rule in RULES for finding in findings)
    return [(finding.path, finding.line, finding.rule) for finding in findings]


def test_nothing_is_wrong_with_good_files() -> None:
    assert found({"a.yaml": GOOD, "b/c.yml": GOOD}) == []


def test_all_problems_of_a_file_are_reported_in_their_order() -> None:
    text = "schedule: never\nsteps:\n  - {command: a, depends: b}\n  - {comand: a}\n"

    assert found({"b.yaml": text, "a.yaml": "steps: [\n"}) == [
        ("a.yaml", 2, "definition"),
        ("b.yaml", 1, "definition"),
        ("b.yaml", 3, "definition"),
        ("b.yaml", 4, "definition"),
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [(None, "file"), ("", "definition"), ("# nothing\n", "definition"), ("max_active_runs: 1\n", "dialect")],
)
def test_what_is_no_definition_is_one_problem(text: str | None, rule: str) -> None:
    assert found({"a.yaml": text}) == [("a.yaml", 1, rule)]


@pytest.mark.parametrize(
    "path", [f"{'n' * 41}.yaml", f"{'n' * 20}/{'m' * 20}.yml", "two words.yaml", "é.yaml", "..yaml"]
)
def test_a_path_must_give_a_name(path: str) -> None:
    assert found({path: GOOD}) == [(path, 1, "name")]


def test_forty_characters_are_a_name() -> None:
    assert found({f"{'n' * 20}/{'m' * 19}.yaml": GOOD}) == []


@pytest.mark.parametrize("other", ["a/b.yml", "a.b.yaml"])
def test_two_files_of_one_name_are_one_problem(other: str) -> None:
    (finding,) = checked({"a/b.yaml": GOOD, other: GOOD}, warnings=True)

    assert (finding.path, finding.rule) == (other, "clash")
    assert "a/b.yaml" in finding.message


def test_the_same_name_in_two_files_is_warned_of() -> None:
    (finding,) = checked({"a.yaml": GOOD, "b.yaml": f"name: a\n{GOOD}"}, warnings=True)

    assert (finding.path, finding.is_warning) == ("b.yaml", True)
    assert "also given in a.yaml" in finding.message


def test_warnings_of_a_definition_are_findings() -> None:
    (finding,) = checked({"a.yaml": "steps: [{run: a.yaml, parallel: [1]}]\ntags: 5\n"}, warnings=True)[:1]

    assert finding.is_warning


CALLS = [
    "steps:\n  - call: {name}\n",
    "steps:\n  - {{call: '{name}', parallel: [1]}}\n",
    "steps:\n  - [{{call: '{name}'}}]\n",
    "steps:\n  a: {{call: '{name}'}}\n",
    "steps:\n  - run: '{name}'\n",
    "handlerOn:\n  failure: {{CALL: '{name}'}}\nsteps: [echo]\n",
    "steps: [{{call: x}}]\n---\nname: x\nsteps: [{{call: '{name}'}}]\n",
]


@pytest.mark.parametrize("call", CALLS)
def test_a_called_dag_must_be_there(call: str) -> None:
    files = {"a.yaml": call.format(name="kid")}

    (finding,) = checked(files)

    assert (finding.rule, finding.line) == ("call", 4 if "---" in call else 2)
    assert '"kid"' in finding.message
    assert found({**files, "kid.yaml": GOOD}) == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("kid", "kid.yml"),
        ("kid.yaml", "kid.yaml"),
        ("team.kid", "team/kid.yaml"),
        ("kid", "etl/kid.yaml"),
        ("./kid", "etl/kid.yaml"),
        ("../kid", "kid.yaml"),
        ("../kids/kid.yml", "kids/kid.yml"),
    ],
)
def test_a_call_finds_a_file_as_a_run_does(name: str, path: str) -> None:
    assert found({"etl/a.yaml": f"steps: [{{call: {name}}}]\n", path: GOOD}) == []


@pytest.mark.parametrize(
    ("name", "path"), [("../../kid", "../kid.yaml"), ("/x/kid", "/x/kid.yaml"), ("kid", "etl/kid")]
)
def test_a_call_of_a_file_elsewhere_is_looked_up(name: str, path: str) -> None:
    files: Mapping[str, str | None] = {"etl/a.yaml": f"steps: [{{call: {name}}}]\n"}

    assert found(files) == [("etl/a.yaml", 1, "call")]
    assert found(files, others=[path]) == []


@pytest.mark.parametrize("name", ["${KID}", "kid-$1", "`cat kid`"])
def test_calls_by_variables_cannot_be_checked(name: str) -> None:
    assert found({"a.yaml": f"steps: [{{call: '{name}'}}]\n"}) == []


def test_a_step_that_is_used_again_is_one_problem() -> None:
    text = "steps:\n  - &a\n    name: a\n    call: gone\n  - <<: *a\n    name: b\n"

    assert found({"a.yaml": text}) == [("a.yaml", 4, "call")]


def test_a_broken_file_can_be_called() -> None:
    assert found({"a.yaml": "steps: [{call: kid}]\n", "kid.yaml": None}) == [("kid.yaml", 1, "file")]


def test_each_cycle_of_calls_is_one_problem() -> None:
    files: Mapping[str, str | None] = {
        "a.yaml": "steps:\n  - call: b\n",
        "b.yaml": "steps:\n  - echo\n  - call: x.c\n",
        "x/c.yaml": "handlerOn:\n  exit: {call: a}\nsteps: [{call: d}]\n",
        "d.yaml": "steps: [{call: d}]\n",
        "e.yaml": "steps: [{call: a}, {call: loc}]\n---\nname: loc\nsteps: [{call: loc}]\n",
    }

    findings = checked(files)

    assert [(finding.path, finding.line, finding.rule) for finding in findings] == [
        ("a.yaml", 2, "cycle"),
        ("d.yaml", 1, "cycle"),
    ]
    assert "a.yaml -> b.yaml -> x/c.yaml -> a.yaml" in findings[0].message


def test_the_base_configuration_counts_for_all_and_is_reported_once() -> None:
    files: Mapping[str, str | None] = {"a.yaml": GOOD, "b.yaml": GOOD}

    assert found(files, base="bad: 1\n") == [(BASE_PATH, 1, "definition")]
    assert found(files, base="log_dir: x\n") == [(BASE_PATH, 1, "dialect")]
    assert found(files, base="handlerOn:\n  exit: {call: gone}\n") == [(BASE_PATH, 2, "call")]
    assert found(files, base="handlerOn:\n  exit: {call: a}\n") == []
