from __future__ import annotations

import pytest

from dagbook.spec import paths


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/abs/x", "/abs/x"),
        ("~", "/home/me"),
        ("~/x", "/home/me/x"),
        ("~you", "/base/~you"),
        ("rel/x", "/base/rel/x"),
        ("./a/../b", "/base/b"),
        ("", "/base"),
    ],
)
def test_a_path_becomes_absolute(path: str, expected: str) -> None:
    assert paths.resolve(path, base="/base", home="/home/me") == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("a-b_C1", "a-b_C1"), ("a.b/c ü", "a_b_c__"), ("x" * 120, "x" * 100), ("", "")]
)
def test_a_name_becomes_safe_for_directories_of_logs(name: str, expected: str) -> None:
    assert paths.safe_log_name(name) == expected
