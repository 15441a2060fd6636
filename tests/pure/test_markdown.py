"""Markdown of steps becomes HTML that is inert: no HTML of the author's, no images, links to http and https alone."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.runs.output import markdown
from dagbook.runs.output.markdown import to_html
from dagbook.runs.output.summaries import LIMIT_BYTES

ELEMENTS = {
    *(
        "p",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "em",
        "strong",
        "s",
        "code",
        "pre",
        "blockquote",
        "ul",
        "ol",
        "li",
        "hr",
        "br",
    ),
    *("a", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"href", "rel", "target", "title", "class", "start", "align"}
PIECES = [
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![a](http://x/y.png)", "![a](x)", "<!-- a -->"),
    *("[a](javascript:alert(1))", "[a](JaVaScRiPt:alert(1))", "[a](data:text/html,x)", "[a](/dags)", "[a](//evil)"),
    *("<javascript:alert(1)>", "<https://a.example>", "[a]: javascript:alert(1)", "[a]", "[a][a]", "&#106;avascript:"),
    *('[a](http://x "\'><b onload=x>")', '[a](http://x/"onmouseover="x)', '```"><script>\n', "``` x onload=y\n"),
    *(
        "# ",
        "## a\n",
        "* ",
        "> ",
        "1. ",
        "|a|b|\n|:-:|-:|\n|c|d|\n",
        "`",
        "**",
        "~~",
        "\n\n",
        "    ",
        "---\n",
        "&lt;b&gt;",
    ),
    *("\N{RIGHT-TO-LEFT OVERRIDE}", "\0", "\x1b[31m", "é", "a", "\\", "(", ")", "[", "]", "<", ">", '"', "'"),
]


class _Found(HTMLParser):
    """The elements and attributes of some HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "a":
            self.links.append(dict(attrs))
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def _check(text: str) -> _Found:
    found = _Found(to_html(text))
    assert found.elements <= ELEMENTS
    assert found.attributes <= ATTRIBUTES
    assert found.open == []
    for link in found.links:
        assert str(link["href"]).lower().startswith(("http://", "https://"))
        assert (link["rel"], link["target"]) == ("noopener noreferrer nofollow", "_blank")
    return found


def test_what_people_write_reads_as_they_mean_it() -> None:
    html = to_html(
        "# Done\n\n**3** of ~~4~~ `files`\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n[log](https://x.example/l?a=1&b)\n"
    )
    assert "<h2>Done</h2>" in html
    assert "<strong>3</strong> of <s>4</s> <code>files</code>" in html
    assert '<td align="right">2</td>' in html
    assert 'href="https://x.example/l?a=1&amp;b"' in html


@pytest.mark.parametrize("piece", PIECES)
def test_nothing_of_the_author_is_active(piece: str) -> None:
    _check(piece)
    _check(f"a {piece} b\n\n{piece}\n")


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_nothing_of_the_author_is_active_in_any_combination(text: str) -> None:
    _check(text)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "/dags", "//evil.example", "mailto:a@b.c"])
def test_links_lead_to_http_and_https_alone(link: str) -> None:
    assert _check(f"[a]({link}) and [b]\n\n[b]: {link}\n").links == []
    assert len(_check(f"[a]({link}) and [b](https://b.example)").links) == 1


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "![",
        "*",
        "*a_ ",
        "`",
        "a`b``",
        "<",
        "&#",
        "> ",
        "- ",
        '[a](b "',
        "[a](",
        "[a]: b\n",
        "|a",
        "a|\n-|\n",
        "~~",
        "\\",
    ],
)
def test_a_text_that_is_slow_to_read_is_shown_as_it_is(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_MOST_SECONDS", 0.2)
    text = unit * (LIMIT_BYTES // len(unit))
    begin = time.thread_time()
    html = to_html(text)
    assert time.thread_time() - begin < 4
    assert html


def test_a_fault_of_the_library_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_converter", lambda: None)
    assert to_html("a fault & <b>") == "<pre>a fault &amp; &lt;b&gt;</pre>\n"
