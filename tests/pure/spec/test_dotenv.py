from __future__ import annotations

import pytest

from dagbook.spec.params import dotenv


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("A=1\nB=2", [("A", "1"), ("B", "2")]),
        ("\ufeffA=1", [("A", "1")]),
        ("# note\n\n  export A = x y  # why\r\nB=#none\n", [("A", "x y"), ("B", "")]),
        ("A=a#b", [("A", "a#b")]),
        ("A='$B \\n # x' # note", [("A", "$B \\n # x")]),
        ('A="x\\ny\\t\\"q\\" \\$B # z"', [("A", 'x\ny\t"q" $B # z')]),
        ('A="two\nlines"\nB=1', [("A", "two\nlines"), ("B", "1")]),
        ("A=1\nB=$A-${A}-$NOPE\nC=\\$A\\n", [("A", "1"), ("B", "1-1-"), ("C", "$A\\n")]),
        ("A=1\nA=${A}2", [("A", "1"), ("A", "12")]),
        ("A=\nB=it's", [("A", ""), ("B", "it's")]),
        ("a.b-c=1", [("a.b-c", "1")]),
        ("A: 1\nB:x:y\nC=a: b\n", [("A", "1"), ("B", "x:y"), ("C", "a: b")]),
        ("1ST=1", [("1ST", "1")]),
    ],
)
def test_a_file_is_read_as_pairs(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(pair.name, pair.value) for pair in dotenv.parse(text)] == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [("A=1\nwhat", 2), ("=x", 1), ("A=1\n\n# x\nB='open\n", 4), ('A="open', 1), ("A='x' y", 1), ("export A", 1)],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"line {line}:"):
        dotenv.parse(text)


def test_more_variables_than_a_process_should_get_are_refused() -> None:
    assert len(dotenv.parse("A=\n" * 1000)) == 1000
    with pytest.raises(ValueError, match="line 1001: there are more than 1,000 variables"):
        dotenv.parse("A=\n" * 1001)


def test_copies_of_a_long_value_are_stopped() -> None:
    with pytest.raises(ValueError, match="line 17: the text grows beyond"):
        dotenv.parse("A=" + "x" * 1_000_000 + "\nB=$A" * 20)


def test_values_that_multiply_each_other_are_stopped() -> None:
    text = "V0=" + "x" * 100 + "".join(f"\nV{n}=" + f"$V{n - 1}" * 100 for n in range(1, 9))
    with pytest.raises(ValueError, match="line 4"):
        dotenv.parse(text)
