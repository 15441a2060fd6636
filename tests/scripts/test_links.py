from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LINKS = Path(__file__).parents[2] / "scripts" / "documentation" / "links.py"


def links(*arguments: str | Path) -> list[str]:
    """Return the printed lines; there are some exactly when the status is 1."""
    done = subprocess.run([sys.executable, LINKS, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1 if done.stdout else 0, "")
    return done.stdout.splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "LICENSE").touch()
    (tmp_path / "docs" / "page.md").write_text(
        "# A page\n\n## `a_b`, c & d\n\n## Twice\n\n## Twice\n\n```\n# none\n```\n"
    )
    return tmp_path


def test_links_to_existing_files_and_headings_pass(checkout: Path) -> None:
    (checkout / "README.md").write_text(
        "# Top\n[1](docs/page.md) [2](docs/page.md#a_b-c--d) [3](docs/page.md#twice-1) [4](#top)\n"
        "[5](LICENSE) [6](docs) [7](https://example.org/#x) `[8](gone.md)`\n\n    [9](gone.md)\n"
    )
    assert links("--folder", checkout) == []


def test_each_broken_link_is_printed_with_its_file_and_line(checkout: Path) -> None:
    readme = checkout / "README.md"
    readme.write_text(
        "# Top\n\none\n[two](docs/gone.md)\n\n| a | b |\n|---|---|\n| x | ![y](gone.png) |\n\n[r]\n\n[r]: #nope\n\n"
        '<picture>\n<img src="LICENSE">\n<source srcset="dark.png">\n</picture>\n'
    )
    page = checkout / "docs" / "page.md"
    page.write_text("# A page\n\n[up](../README.md#none) [root](/README.md)\n")
    assert links("--folder", checkout) == [
        f"{readme}:4: docs/gone.md: there is no such file",
        f"{readme}:8: gone.png: there is no such file",
        f"{readme}:10: #nope: README.md has no such heading",
        f"{readme}:14: dark.png: there is no such file",
        f"{page}:3: ../README.md#none: README.md has no such heading",
        f"{page}:3: /README.md: write it relative to the page",
    ]


def test_broken_links_and_files_of_other_hosts_in_a_site_are_printed(tmp_path: Path) -> None:
    (tmp_path / "style.css").touch()
    (tmp_path / "b.html").write_text('<h1 id="top">B</h1>')
    page = tmp_path / "a.html"
    page.write_text(
        '<link href="style.css"><a href="b.html#top">b</a><a href="https://example.org">x</a><a href="#">y</a>'
    )
    assert links("--site", tmp_path) == []
    page.write_text(
        '<script src="https://example.org/x.js"></script>\n<a href="b.html#end">b</a>\n<a href="c.html">c</a>'
    )
    assert links("--site", tmp_path) == [
        f"{page}:1: https://example.org/x.js: is loaded from another host",
        f"{page}:2: b.html#end: there is no such anchor",
        f"{page}:3: c.html: there is no such file",
    ]
