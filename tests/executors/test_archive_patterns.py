"""Patterns for paths inside archives."""

from __future__ import annotations

import pytest

from dagbook.executors.archive.options import Filter, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.txt", "a.txt", True),
        ("*.txt", "b/a.txt", False),
        ("**/*.txt", "a.txt", True),
        ("**/*.txt", "b/c/a.txt", True),
        ("**/*.txt", "b/a.txt.gz", False),
        ("a/**", "a/b/c", True),
        ("a/**", "a", True),
        ("a/**", "ab", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("a/**/c", "a/bc", False),
        ("**", "a/b", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[!a-c]x", "dx", True),
        ("[!a-c]x", "/x", False),
        ("[^a]x", "ax", False),
        ("[\\]]", "]", True),
        ("[[]", "[", True),
        ("{a,b/*}.txt", "b/c.txt", True),
        ("{a,b}.{txt,md}", "b.md", True),
        ("{a,b}", "c", False),
        ("a,b", "a,b", True),
        ("\\*", "*", True),
        ("\\*", "a", False),
        ("a.c", "abc", False),
        ("(a|b)+", "(a|b)+", True),
        ("a\nb", "a\nb", True),
    ],
)
def test_a_pattern_matches_the_complete_path(pattern: str, path: str, matches: bool) -> None:
    assert bool(compile_pattern(pattern).fullmatch(path)) is matches


@pytest.mark.parametrize("pattern", ["[", "a[b", "[]", "{a", "a}", "{a,{b}", "[z-a]"])
def test_a_pattern_that_is_not_well_formed_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="the pattern"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("include", "exclude", "matches"),
    [([], [], True), (["a*"], [], True), (["b*"], [], False), ([], ["a*"], False), (["a*"], ["*b"], False)],
)
def test_exclusion_outweighs_inclusion(include: list[str], exclude: list[str], matches: bool) -> None:
    assert Filter(include, exclude).matches("ab") is matches
