#!/usr/bin/env python3
"""Make the reference pages of docs/reference that the code describes itself.

    scripts/documentation/reference.py            write them
    scripts/documentation/reference.py --check    fail when one is out of date; change nothing

Both fail when a page has no entry for something of the code (scripts/documentation/pages/complete.py).

To correct a page, change what it is made from: its first lines name that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.documentation.pages import api, commands, keys, metrics, settings  # noqa: E402
from scripts.documentation.pages.complete import REQUIRED, find_missing  # noqa: E402

DOCS = ROOT / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "keys.md": keys.make,
    "commands.md": commands.make,
    "settings.md": settings.make,
    "api.md": api.make,
    "metrics.md": metrics.make,
}


def main() -> int:
    """Write or check the pages; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    check, status = parser.parse_args().check, 0
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"docs/reference/{name} is out of date; run scripts/documentation/reference.py", file=sys.stderr)
            status = 1
    for name in REQUIRED:
        for heading, cell in find_missing(REQUIRED[name](), (DOCS / name).read_text(encoding="utf-8")):
            print(f"docs/reference/{name} has no entry: {heading} {cell}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
