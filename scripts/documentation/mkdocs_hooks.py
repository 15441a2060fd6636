"""Hooks of MkDocs: pages and files from outside of docs/ become part of the site, and links are adapted."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

CHECKOUT = Path(__file__).parents[2]
# Paths in the repository and in the site. On case-insensitive file systems SECURITY.md and security.md are one file.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting-vulnerabilities.md",
    "CONTRIBUTING.md": "contributing.md",
}
FILES = {
    "LICENSE": "files/LICENSE.txt",
    "app/dagbook/cli/server/dagbook.service": "files/dagbook.service",
    "scripts/documentation/mkdocs.css": "files/site.css",
    **{
        f"app/dagbook/web/static/vendor/{family}-{alphabet}.woff2": f"files/{family}-{alphabet}.woff2"
        for family in ("inter", "jetbrains-mono")
        for alphabet in ("latin", "latin-ext")
    },
}
_CELL = re.compile(r"<t[dh][ >].*?</t[dh]>", re.DOTALL)
_LINK = re.compile(r"\[([^\[\]]+)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
_SOURCE = re.compile(r'\b(src|srcset)="docs/')


def on_files(files: Any, *, config: Any) -> Any:
    """Add the pages and files from outside of docs/ that exist."""
    for source, place in {**PAGES, **FILES}.items():
        if (CHECKOUT / source).exists():
            files.append(File.generated(config, place, abs_src_path=str(CHECKOUT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn the links of a page, which are relative to the repository, into links of the site.

    The site has no tests and scripts: links to them are replaced by their text.
    """
    here = page.file.src_uri
    source = next((path for path, place in PAGES.items() if place == here), f"docs/{here}")

    def rewrite(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        place = {**PAGES, **FILES}.get(path, path)
        if place == path and not path.startswith("docs/"):
            return match[1]
        target = posixpath.relpath(place.removeprefix("docs/"), posixpath.dirname(here) or ".")
        return f"[{match[1]}]({target}{match[3] or ''})"

    # Only README.md has pictures in HTML, one for each theme; it is above docs/.
    return _SOURCE.sub(r'\1="', _LINK.sub(rewrite, markdown))


def on_page_content(html: str, **_: Any) -> str:
    r"""Show \| in the code of a table as |, as hosts of repositories do; Python-Markdown leaves the backslash."""
    return _CELL.sub(lambda match: match[0].replace(r"\|", "|"), html)
