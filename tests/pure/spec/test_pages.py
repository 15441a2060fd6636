"""The definitions in pages of the documentation: each is valid, and has nothing that Dagbook warns of.

A block that is only a part of a definition is marked by a comment before it: ``<!-- not run: reason -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagbook.spec.reading.load import load
from dagbook.spec.shell_references import find_warnings

DOCS = Path(__file__).parents[3] / "docs"
# The number of definitions that each page has; a block that is not recognised is missing in it.
PAGES = {
    "get-started/first-steps.md": 2,
    "troubleshooting.md": 2,
    "tutorials/etl.md": 1,
    "tutorials/approval.md": 1,
    "explanation/when-not-to-use.md": 0,
}
_BLOCK = re.compile(
    r"^(?P<mark><!-- not run: (?P<reason>[^\n]*?) -->\n)?```ya?ml\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def _definitions(page: str) -> Iterator[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = list(_BLOCK.finditer(text))
    assert len(blocks) == len(re.findall(r"^\s*```\s*ya?ml", text, re.MULTILINE)), (
        "a block is indented, or has other marks"
    )
    for block in blocks:
        if block["mark"] is None:
            yield block["text"]
        else:
            assert len(block["reason"].split()) > 2, f"say why this is not run: {block['text']}"


@pytest.mark.parametrize("page", PAGES)
def test_each_definition_of_a_page_is_valid_and_without_warnings(page: str) -> None:
    found = list(_definitions(page))
    assert len(found) == PAGES[page]
    for text in found:
        loaded = load(text, name="page")
        assert (loaded.problems, loaded.empty) == ((), False), text
        assert [*loaded.definition.warnings, *find_warnings(loaded.definition)] == [], text
