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
