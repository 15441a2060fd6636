from __future__ import annotations

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SCREEN = 24  # lines


@pytest.mark.parametrize("command", ["./scripts/serve", "./scripts/test"])
def test_the_first_screen_of_the_readme_has_the_two_commands(command: str) -> None:
    lines = (CHECKOUT / "README.md").read_text().splitlines()[:SCREEN]
    assert [line for line in lines if line.startswith(f"    {command} ")]
    assert (CHECKOUT / command).stat().st_mode & 0o111


@pytest.mark.parametrize("page", ["configuration", "architecture", "dependencies"])
def test_the_readme_leads_to_every_page(page: str) -> None:
    assert f"(docs/{page}.md)" in (CHECKOUT / "README.md").read_text()
    assert (CHECKOUT / "docs" / f"{page}.md").is_file()
