from __future__ import annotations

import pytest

from scripts.documentation.example_blocks import (
    Action,
    Example,
    PageError,
    compare,
    insert_ids,
    read_page,
)

ID, OTHER = "01a22529-a46c-70fc-b39d-edf711fc10a1", "01a22529-cdfb-718b-a7b4-f61d50bcca2f"
RUN, ANOTHER = "11111111-a46c-70fc-b39d-edf711fc10a1", "22222222-a46c-70fc-b39d-edf711fc10a1"


def read_one(text: str) -> Example:
    (example,) = read_page(text)
    return example


def fence(language: str, text: str = "a: 1", *marks: str) -> str:
    return "".join(f"<!-- {mark} -->\n" for mark in marks) + f"```{language}\n{text}\n```\n"


@pytest.mark.parametrize(
    ("text", "action"),
    [
        (fence("yaml"), Action.RUN),
        (fence("yml"), Action.RUN),
        (fence("yaml", "a: 1", "run: fails"), Action.RUN),
        (fence("yaml", "a: 1", "only validated: needs a server elsewhere"), Action.VALIDATE),
        (fence("yaml", "a: 1", "settings"), Action.READ),
        (fence("yaml", "a: 1", "not run: a part of it"), Action.NONE),
        (fence("yaml", "a: 1", "file: a.yaml"), Action.VALIDATE),
        (fence("yaml", "a: 1", "file: a.yaml", "run: X=1"), Action.RUN),
        (fence("yaml", "a: 1", "file: base.yaml", "not run: has no steps"), Action.WRITE),
        (fence("python", "a: 1", "file: a.py"), Action.WRITE),
        (fence("console", "$ true"), Action.EXECUTE),
        (fence("sh", "true"), Action.EXECUTE),
        (fence("sh", "true", "not run: needs to be root"), Action.NONE),
        (fence("sh", "true", "file: a.sh"), Action.WRITE),
        (fence("json"), Action.SHOW),
        (
            f"1. in a list\n\n   {fence('text')}".replace("\na: 1", "\n   a: 1").replace("\n```", "\n   ```"),
            Action.SHOW,
        ),
    ],
)
def test_language_and_marks_say_what_happens_with_a_block(text: str, action: Action) -> None:
    assert read_one(text).action is action


def test_a_block_has_the_line_of_its_text_and_the_values_of_its_marks() -> None:
    example = read_one("# A page\n\n" + fence("yaml", "a: 1", "file: a.yaml", "run: fails DAY=2030-01-31 X="))
    assert example == (6, "yaml", "a: 1\n", {"file": "a.yaml", "run": "fails DAY=2030-01-31 X="})
    assert (example.fails, example.variables) == (True, {"DAY": "2030-01-31", "X": ""})


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("Words:\n\n    $ indented\n", 3, "write it fenced"),
        ("```\nnothing\n```\n", 1, "without a language"),
        (fence("yaml", "a: 1", "not run: later"), 2, "say why"),
        (fence("yaml", "a: 1", "never run: it is slow"), 1, "unknown mark 'never run'"),
        (fence("console", "$ true", "settings"), 2, "a mark of YAML blocks"),
        (fence("yaml", "a: 1", "terminal: server"), 2, "a mark of commands"),
        (fence("yaml", "a: 1", "file: ../a"), 2, "relative to the working directory"),
        (fence("yaml", "a: 1", "file: /etc/passwd"), 2, "relative to the working directory"),
        (fence("yaml", "a: 1", "run: failed"), 2, "not failed"),
        (fence("console", "true"), 2, "begins with a command"),
        (fence("console", ""), 2, "begins with a command"),
    ],
)
def test_what_does_not_keep_to_the_convention_is_reported_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(PageError, match=message) as raised:
        read_page(text)
    assert raised.value.line == line


@pytest.mark.parametrize(
    ("expected", "actual", "diff"),
    [
        ("one", "", ["- one"]),
        ("", "one", ["+ one"]),
        ("one\ntwo\nthree", "one\n2\nthree", ["  one", "- two", "+ 2", "  three"]),
        ("…\nend", "one\ntwo", ["- end", "  one", "  two"]),
        (f"{ID}\n{ID}", f"{RUN}\n{ANOTHER}", [f"  {RUN}", f"- {ID}", f"+ {ANOTHER}"]),
        ("a.c", "abc", ["- a.c", "+ abc"]),
        ("NAME AGE", "NAME  AGE", ["- NAME AGE", "+ NAME  AGE"]),
        ("at 2026-11-29T00:42:04Z", "at noon", ["- at 2026-11-29T00:42:04Z", "+ at noon"]),
    ],
)
def test_output_that_is_not_as_expected_has_a_diff(expected: str, actual: str, diff: list[str]) -> None:
    found = compare(expected.splitlines(), actual.splitlines(), {})
    assert sorted(found) == sorted(diff)


def test_ids_of_the_page_stand_for_those_that_were_printed() -> None:
    ids: dict[str, str] = {}
    assert compare([f"first {ID}", f"then {OTHER}"], [f"first {RUN}", f"then {ANOTHER}"], ids) == []
    assert insert_ids(f"dagbook retry etl {OTHER}", ids) == f"dagbook retry etl {ANOTHER}"
    assert insert_ids("dagbook retry etl", ids) == "dagbook retry etl"
    assert compare([ID], [ANOTHER], ids) == [f"- {ID}", f"+ {ANOTHER}"]
