from __future__ import annotations

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SCREEN = 24  # lines


@pytest.mark.parametrize("command", ["./scripts/serve", "./scripts/test"])
def test_the_first_screen_of_the_readme_has_the_two_commands(command: str) -> None:
    lines = (CHECKOUT / "README.md").read_text().splitlines()[:SCREEN]
    assert [line for line in lines if line.startswith(f"{command} ")]
    assert (CHECKOUT / command).stat().st_mode & 0o111


def test_the_readme_has_a_table_of_the_documentation_and_links_the_list_of_all_pages() -> None:
    _, _, rest = (CHECKOUT / "README.md").read_text().partition("\n## Documentation\n")
    section = rest.partition("\n## ")[0]
    assert len([line for line in section.splitlines() if line.startswith("| [")]) == 5
    assert "](docs/pages.md)" in section


def test_the_list_of_pages_has_every_page() -> None:
    docs = CHECKOUT / "docs"
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")} - {"pages.md"}
    listed = (docs / "pages.md").read_text()
    assert "get-started/install.md" in pages
    assert [page for page in pages if f"({page})" not in listed] == []
