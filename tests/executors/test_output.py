"""What processes write, as text."""

from __future__ import annotations

import pytest

from dagbook.executors.capture import read_text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\0b", "a\ufffdb"),
        (b"\xffa", "\ufffda"),
        (b"\xe2\x82", "\ufffd"),
        (b"a\r\nb", "a\r\nb"),
        ("ä€".encode(), "ä€"),
    ],
)
def test_what_is_no_text_is_replaced(data: bytes, text: str) -> None:
    assert read_text(data) == text
