"""The unified diff of two texts."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from dagbook.definitions.diff import unified

_LONG = [f"line {number}" for number in range(20_000)]


def _patched(directory: Path, old: str, new: str) -> str:
    file = directory / "text"
    file.write_bytes(old.encode())
    diff = unified(old, new, "text", "text")
    subprocess.run(["patch", "--silent", "--binary", str(file)], input=diff.encode(), check=True, timeout=20)
    return file.read_bytes().decode()


def test_a_diff_names_both_texts_and_shows_lines_around_a_change() -> None:
    old, new = "a\nb\nc\nd\ne\n", "a\nb\nc\nD\ne\n"
    assert unified(old, new, "one", "two") == "--- one\n+++ two\n@@ -1,5 +1,5 @@\n a\n b\n c\n-d\n+D\n e\n"


def test_equal_texts_have_no_diff() -> None:
    assert unified("a\nb", "a\nb", "one", "two") == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nb\n", "a\nc\n"),
        ("a\nb", "a\nb\n"),
        ("a\nb\n", "a\nb"),
        ("a", "b"),
        ("", "a\n"),
        ("a\r\nb\r\n", "a\r\nc\r\n"),
        ("a\x0cb\u2028c\n", "a\x0cb\u2028d\n"),
        ("\n\n", "\n"),
        ("\n".join(_LONG), "\n".join(line + "!" if index % 2 else line for index, line in enumerate(_LONG))),
        ("x\n" * 6_000, "y\n" + "x\n" * 3_000 + "z\n" + "x\n" * 4_000),
        ("\n".join(_LONG) + "\nend", "begin\n" + "\n".join(_LONG[::-1])),
    ],
)
def test_patch_makes_the_new_text_of_the_old_one(tmp_path: Path, old: str, new: str) -> None:
    assert _patched(tmp_path, old, new) == new


def test_texts_made_to_take_long_are_compared_in_bounded_time() -> None:
    old = "\n".join(_LONG)
    new = "\n".join(line + "!" if index % 2 else line for index, line in enumerate(_LONG))
    began = time.process_time()
    diff = unified(old, new, "one", "two")
    assert time.process_time() - began < 2
    changes = [line[0] for line in diff.splitlines()[3:]]
    assert changes.count("-") == changes.count("+") == len(_LONG) - 1  # the first line is the same in both


def test_a_small_change_of_a_long_text_stays_small() -> None:
    changed = [*_LONG[:7_000], "other", *_LONG[7_001:]]
    shown = unified("\n".join(_LONG), "\n".join(changed), "one", "two").splitlines()
    assert shown[2] == "@@ -6998,7 +6998,7 @@"
    assert len(shown) == 11
