"""The description of the package: README.md for a page that has no files beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.documentation.links import find_links
from scripts.documentation.package_readme import main, make_description

README = Path(__file__).parents[2] / "README.md"
BASE = "https://example.org/dagbook/src/v1/"


@pytest.mark.parametrize(
    ("text", "with_address", "without"),
    [
        ("[a](docs/a.md#b)", f"[a]({BASE}docs/a.md#b)", "a"),
        ("[`a` b](LICENSE), [c](d)", f"[`a` b]({BASE}LICENSE), [c]({BASE}d)", "`a` b, c"),
        ("[a](https://example.com/b)", "[a](https://example.com/b)", "[a](https://example.com/b)"),
        ("[a](#b)", "[a](#b)", "[a](#b)"),
        ("x\n![a](a.png)\ny", f"x\n![a]({BASE}a.png)\ny", "x\n\ny"),
        ('<img alt="a" src="a.png">\ny', f'<img alt="a" src="{BASE}a.png">\ny', "y"),
        ('<img src="https://example.com/a.png">', *['<img src="https://example.com/a.png">'] * 2),
        (
            '<picture>\n<source srcset="d.webp">\n<img src="l.webp">\n</picture>\ny',
            f'<picture>\n<source srcset="{BASE}d.webp">\n<img src="{BASE}l.webp">\n</picture>\ny',
            "y",
        ),
    ],
)
def test_relative_links_lead_below_the_address_or_become_their_text(text: str, with_address: str, without: str) -> None:
    assert (make_description(text, BASE), make_description(text)) == (with_address, without)


@pytest.mark.parametrize("address", [BASE, ""])
def test_no_link_of_the_readme_is_relative_in_the_description(address: str) -> None:
    description = make_description(README.read_text(encoding="utf-8"), address)
    assert [link for link in find_links(description) if not link.target.startswith((BASE, "https://", "#"))] == []
    assert re.findall(r'\b(?:src|srcset)="(?!https://)[^"]*"', description) == []
    assert "./scripts/serve" in description


def test_an_address_without_a_slash_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["package_readme.py", str(README), "https://example.org/dagbook"])
    with pytest.raises(SystemExit):
        main()
    assert "does not begin with https:// and end with a slash" in capsys.readouterr().err
