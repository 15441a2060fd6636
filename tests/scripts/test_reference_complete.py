"""The pages of docs/reference have an entry for everything that the code has, and a missing entry is found."""

from __future__ import annotations

import pytest

from scripts.documentation.pages.complete import REQUIRED, find_missing, list_entries
from scripts.documentation.reference import DOCS


@pytest.mark.parametrize("page", REQUIRED)
def test_a_page_has_every_entry_and_one_that_is_removed_is_missing(page: str) -> None:
    text, required = (DOCS / page).read_text(encoding="utf-8"), list(REQUIRED[page]())
    assert required
    assert find_missing(required, text) == []
    places = list_entries(text)
    for entry in (required[0], required[len(required) // 2], required[-1]):
        lines = text.splitlines()
        lines[places[entry]] = ""
        assert entry in find_missing(required, "\n".join(lines))
