#!/usr/bin/env python3
"""Print README.md as the description of a package, whose page on an index has no files beside it.

    package_readme.py README.md                                      relative links become their text
    package_readme.py README.md https://example.org/dagbook/src/v1/  they lead to the files below this address

A relative picture is left out where there is no address. Links to other hosts and to headings of the page stay.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import urljoin

_RELATIVE = r"(?![a-z][a-z0-9+.-]*:|#|/)"  # neither a scheme, nor a heading, nor the root of a host
_LINK = re.compile(rf"(?P<mark>!?)\[(?P<text>[^\[\]]*)\]\({_RELATIVE}(?P<target>[^()\s]+)\)")
_PICTURE = re.compile(r"<picture>.*?</picture>\n?|<img\b[^>]*>\n?", re.DOTALL)
_SOURCE = re.compile(rf'(?P<key>\b(?:src|srcset))="{_RELATIVE}(?P<target>[^"]*)"')


def make_description(readme: str, address: str = "") -> str:
    """Return the text with its relative links and pictures below ``address``, or without them when it is empty."""

    def place_link(match: re.Match[str]) -> str:
        if address:
            return f"{match['mark']}[{match['text']}]({urljoin(address, match['target'])})"
        return "" if match["mark"] else match["text"]

    def place_picture(match: re.Match[str]) -> str:
        if not address and _SOURCE.search(match[0]):
            return ""
        return _SOURCE.sub(lambda source: f'{source["key"]}="{urljoin(address, source["target"])}"', match[0])

    return _PICTURE.sub(place_picture, _LINK.sub(place_link, readme))


def main() -> int:
    """Print the description; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readme", type=Path, metavar="README")
    parser.add_argument("address", nargs="?", default="", help="where the files of this version are; ends with a slash")
    options = parser.parse_args()
    if options.address and not re.fullmatch(r"https://\S+/", options.address):
        parser.error(f"the address {options.address} does not begin with https:// and end with a slash")
    sys.stdout.write(make_description(options.readme.read_text(encoding="utf-8"), options.address))
    return 0


if __name__ == "__main__":
    sys.exit(main())
