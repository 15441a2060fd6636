from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from dagbook.db.compression import COMPRESS_FROM, compress, decompress


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_long_text_is_the_same_after_packing(text: str) -> None:
    long = text * (COMPRESS_FROM // len(text) + 1)
    packed = compress(long)
    assert packed is not None
    assert decompress("", packed) == long


def test_a_short_text_stays_as_it_is() -> None:
    assert compress("x" * (COMPRESS_FROM - 1)) is None
    assert decompress("short", None) == "short"
