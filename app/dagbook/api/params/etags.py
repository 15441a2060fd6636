"""Revisions of a DAG in ETag and If-Match."""

from __future__ import annotations

import re

from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten

# Those of compressed responses are weak. These tags identify a text and not the bytes sent, so weak ones are as good.
_TAG = r'(?:W/)?"([^"\x00-\x1f]*)"'
_TAGS = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")
_NUMBER = re.compile("[1-9][0-9]{0,8}")


def etag(revision: int) -> dict[str, str]:
    """Return the ETag header of a revision; empty for number 0."""
    return {"ETag": f'"{revision}"'} if revision else {}


def expected_revisions(if_match: str | None) -> frozenset[int] | None:
    """Return the revisions that If-Match allows, None for any; raises BadRequestError for an invalid header."""
    if if_match is None or if_match.strip() == "*":
        return None
    if not _TAGS.fullmatch(if_match):
        sent = shorten(if_match)
        raise BadRequestError(
            f'If-Match: {sent} is not an ETag; send the one that came with the text, such as "3" in quotes'
        )
    tags: list[str] = re.findall(_TAG, if_match)
    return frozenset(int(tag) for tag in tags if _NUMBER.fullmatch(tag))
