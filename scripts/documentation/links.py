#!/usr/bin/env python3
"""Check the links of the documentation, without a network.

    links.py                  the pages of the repository: the files and headings of relative links exist
    links.py --site FOLDER    a built site: the files and anchors that its pages link and load exist

Each broken link is printed with its file and line. Links to other hosts are not followed; a page of the site that loads
something from one, such as a font or a script, is reported.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT_PAGES = ("README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md")
_SOURCE = re.compile(r'\b(?:src|srcset)="([^"]+)"')
_LINKING = {"a": "href", "link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


class Link(NamedTuple):
    """A link as it is written, and its line."""

    line: int
    target: str
    is_loaded: bool = False


def list_pages(folder: Path) -> list[Path]:
    """List the pages of a checkout."""
    return [path for path in map(folder.joinpath, ROOT_PAGES) if path.exists()] + sorted(folder.glob("docs/**/*.md"))


def find_links(text: str) -> Iterator[Link]:
    """Yield the links and images of a Markdown text, those in blocks of HTML included, except those in code."""
    line = 1
    for token in _parse(text):
        line = token.map[0] + 1 if token.map else line
        if token.type == "html_block":
            yield from (Link(line, target) for target in _SOURCE.findall(token.content))
        at = line
        for child in token.children or ():
            at += child.type in ("softbreak", "hardbreak")
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                yield Link(at, str(target))


def find_anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a Markdown text, computed as on GitHub."""
    tokens = _parse(text)
    anchors: set[str] = set()
    for opening, heading in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        words = "".join(child.content for child in heading.children or () if child.type in ("text", "code_inline"))
        anchor = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        number = sum(1 for other in anchors if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other))
        anchors.add(f"{anchor}-{number}" if anchor in anchors else anchor)
    return anchors


def check_page(page: Path) -> Iterator[str]:
    """Yield a message for each broken relative link of a page of the repository."""
    for link in find_links(page.read_text(encoding="utf-8")):
        url = urlsplit(link.target)
        if url.scheme or url.netloc:
            continue
        file = page.parent / unquote(url.path) if url.path else page
        anchor = unquote(url.fragment)
        if url.path.startswith("/"):
            yield f"{page}:{link.line}: {link.target}: write it relative to the page"
        elif not file.exists():
            yield f"{page}:{link.line}: {link.target}: there is no such file"
        elif anchor and (file.suffix != ".md" or anchor not in _anchors_of(file)):
            yield f"{page}:{link.line}: {link.target}: {file.name} has no such heading"


class SitePage(HTMLParser):
    """The links and anchors of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[Link] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors.update(values[key] or "" for key in ("id", "name") if key in values)
        target = values.get(_LINKING.get(tag, ""))
        if target is not None:
            self.links.append(Link(self.getpos()[0], target, is_loaded=tag != "a"))


def check_site(folder: Path) -> Iterator[str]:
    """Yield a message for each broken link of a built site, and for each file that is loaded from another host."""
    pages = {path.resolve(): SitePage(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    if not pages:
        yield f"{folder}: there are no pages"
    for path, page in pages.items():
        # The error page is shown under any address: its links start at the root.
        base = folder.resolve() if path.name == "404.html" else path.parent
        for link in page.links:
            place = f"{path}:{link.line}: {link.target}"
            url = urlsplit(link.target)
            if url.scheme or url.netloc:
                if link.is_loaded and url.scheme != "data":
                    yield f"{place}: is loaded from another host"
                continue
            file = (base / unquote(url.path).lstrip("/")).resolve() if url.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file():
                yield f"{place}: there is no such file"
            elif url.fragment and file in pages and unquote(url.fragment) not in pages[file].anchors:
                yield f"{place}: there is no such anchor"


def _parse(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


@cache
def _anchors_of(page: Path) -> set[str]:
    return find_anchors(page.read_text(encoding="utf-8"))


def main() -> int:
    """Print the broken links; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, metavar="FOLDER", help="check a built site instead of the repository")
    parser.add_argument("--folder", type=Path, default=Path(), help="the checkout, by default the working directory")
    options = parser.parse_args()
    if options.site:
        problems = list(check_site(options.site))
    else:
        problems = [problem for page in list_pages(options.folder) for problem in check_page(page)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
