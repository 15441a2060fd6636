"""The context of a trace: W3C Trace Context, and ids that follow from keys."""

from __future__ import annotations

import hashlib

import pytest

from dagbook.runs import trace_context
from dagbook.runs.trace_context import TRACEPARENT, TraceContext, parse, span_of_node, span_of_run
from dagbook.spec.model import Pair

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
KEY, ROOT = 7_300_000_000_000_000_001, 7_300_000_000_000_000_000


@pytest.mark.parametrize("text", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-later"])
def test_a_traceparent_is_read(text: str) -> None:
    assert parse(text) == TraceContext(TRACE, SPAN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_another_text_is_none(text: str) -> None:
    assert parse(text) is None


def test_ids_follow_from_keys() -> None:
    context = trace_context.of_new_run(KEY, ROOT)
    assert context.trace == hashlib.sha256(str(ROOT).encode()).digest()[:16].hex()
    assert parse(str(context)) == context
    assert trace_context.is_first(context, KEY)
    steps = {span_of_node(KEY, attempt, "a", is_handler=handler) for attempt in (1, 2) for handler in (True, False)}
    runs = {span_of_run(key, attempt) for key in (KEY, ROOT) for attempt in (1, 2)}
    assert len(steps | runs) == 8


def test_a_request_with_a_trace_is_the_caller() -> None:
    context = trace_context.of_new_run(KEY, KEY, f"00-{TRACE}-{SPAN}-01")
    assert context == TraceContext(TRACE, SPAN)
    assert not trace_context.is_first(context, KEY)
    assert trace_context.of_new_run(KEY, KEY, "nonsense") == trace_context.of_new_run(KEY, KEY)


def test_the_first_of_a_trace_sends_it() -> None:
    first = trace_context.of_new_run(KEY, ROOT)
    called = TraceContext(first.trace, span_of_node(ROOT, 1, "call", is_handler=False))
    cases = [(first, True), (first, False), (called, True), (called, False), (None, True)]
    found = [
        trace_context.sends(trace_context.with_context((Pair("A", "1"),), context), KEY, is_root=is_root)
        for context, is_root in cases
    ]
    assert found == [True, True, True, False, False]


def test_variables_get_one_context() -> None:
    first = trace_context.of_new_run(KEY, ROOT)
    again = trace_context.with_context((Pair(TRACEPARENT, "old"), Pair("A", "1")), first)
    assert again == (Pair("A", "1"), Pair(TRACEPARENT, str(first)))
    assert trace_context.find(again) == first
    assert trace_context.with_context(again, None) == (Pair("A", "1"),)
