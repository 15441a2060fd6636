#!/usr/bin/env python3
"""Find words that the glossary replaces, in the package, the migrations and the documentation.

    scripts/words.py [PATH…]      default: the files that git lists of ROOTS

Each is printed with its place and the word of docs/reference/glossary.md to use instead.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOTS = ("app", "migrations", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ".github")
SUFFIXES = {".py", ".js", ".md", ".sql", ".mako"}
# The bundled libraries are not ours; the glossary names the words that it replaces.
EXCLUDED = ("app/dagbook/web/static/vendor/", "docs/reference/glossary.md")
# A private word, as a regular expression for whole words, and what to use instead.
WORDS = {
    r"whoever|whomever|somebody|nobody|everybody|anybody": "name the component, the user or the caller",
    r"(is|are|was|were) over": "finished",
    r"under way": "active, or in progress",
    r"anew": "again, or restart",
    r"(take|takes|taking|took|taken) up": "adopt, resume",
    r"(let|lets|letting) go( of)?": "detach, release",
    r"casualt(y|ies)": "runner failure",
    r"crowded out": "refused, or queued: the queue is full",
    r"seen from here": "protocol, port",
    r"colleagues?": "peer",
    r"glances?": "read_inline",
    r"(is|are) to go|doomed": "to delete",
    r"clerk|workshop|torture": "enqueue-only mode, runner dependencies, chaos experiments",
    r"newcomers?": "starting run",
    r"(tell|tells|telling|told) of": "report, describe, show",
}
OUTPUT = "nobody is told of this"  # pages and commands say it, and examples quote them
# Sentences in which a word is not the private one, by file.
EXCEPTIONS: dict[str, tuple[str, ...]] = {
    "docs/reference/commands.md": ("--auth-oidc-allow-everybody",),  # a setting
    "docs/reference/settings.md": ("--auth-oidc-allow-everybody",),
}


class Finding(NamedTuple):
    """A private word and its place."""

    path: str
    line: int
    word: str
    use: str


def find_words(path: str, text: str) -> Iterator[Finding]:
    """Find the private words of a text."""
    for number, line in enumerate(text.splitlines(), 1):
        if any(sentence in line for sentence in (OUTPUT, *EXCEPTIONS.get(path, ()))):
            continue
        for pattern, use in WORDS.items():
            for match in re.finditer(rf"\b(?:{pattern})\b", line, re.IGNORECASE):
                yield Finding(path, number, match[0], use)


def list_files() -> list[str]:
    """List the files that are checked."""
    done = subprocess.run(["git", "ls-files", *ROOTS], capture_output=True, text=True, check=True)
    names = [name for name in done.stdout.splitlines() if Path(name).suffix in SUFFIXES and Path(name).exists()]
    return [name for name in names if not name.startswith(EXCLUDED)]


def main(paths: Sequence[str]) -> int:
    """Print what is found; returns the exit status."""
    found = [
        finding
        for path in paths or list_files()
        for finding in find_words(path, Path(path).read_text(encoding="utf-8"))
    ]
    for finding in found:
        print(f"{finding.path}:{finding.line}: {finding.word!r}: use {finding.use}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
