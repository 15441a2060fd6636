"""Markdown of steps as HTML that is safe in a page of the web UI and in a mail: nothing of it runs or is loaded.

It has no HTML of the author's and no images, links lead to http and https alone, and there are no ``style``
attributes, which the policy of the pages forbids. The text is the data of a stranger, so the time is limited as well.
"""

from __future__ import annotations

import logging
import time
from functools import cache, lru_cache
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.ruler import StateBase
    from markdown_it.rules_core import StateCore

_log = logging.getLogger(__name__)
_MOST_SECONDS = 1.0  # of the processor; 64 KiB of text take a tenth
_UNTIL = "until"
_DEEPEST_HEADING = 6


class _TooSlowError(Exception):
    pass


@lru_cache(maxsize=64)
def to_html(text: str) -> str:
    """Convert Markdown to HTML; what takes too long is shown as it is written. Call it in a thread."""
    try:
        return str(_converter().render(text, {_UNTIL: time.thread_time() + _MOST_SECONDS}))
    except _TooSlowError:
        pass
    except Exception:  # noqa: BLE001 - a fault of the library must not hide the page of a run
        _log.exception("a summary could not be converted")
    return f"<pre>{escape(text)}</pre>\n"


@cache
def _converter() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 20 ms, which a start of the server does not need

    class Markdown(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802 - the library calls it so
            return url.lower().startswith(("http://", "https://"))

    converter = Markdown("commonmark", {"html": False})
    converter.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", "image"])
    converter.block.ruler.before("table", "limit", _check_time)
    converter.inline.ruler.before("text", "limit", _check_time)
    converter.core.ruler.push("restrict", _restrict)
    return converter


def _check_time(state: StateBase, *_: object) -> bool:
    """Be the first rule at every place of a text."""
    if time.thread_time() > state.env[_UNTIL]:
        raise _TooSlowError
    return False


def _restrict(state: StateCore) -> None:
    """Put headings below that of the page, mark links as foreign, and align cells without a style."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 1, _DEEPEST_HEADING)}"
        if style := token.attrs.pop("style", None):
            token.attrs["align"] = str(style).rpartition(":")[2]
        for child in token.children or ():
            if child.type == "link_open":
                child.attrs |= {"rel": "noopener noreferrer nofollow", "target": "_blank"}
