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


def test_the_readme_links_every_page() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    pages = [str(page.relative_to(CHECKOUT)) for page in (CHECKOUT / "docs").rglob("*.md")]
    assert "docs/get-started/install.md" in pages
    assert [page for page in pages if f"({page})" not in readme] == []
