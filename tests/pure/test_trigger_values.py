"""Filters and params of events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dagbook.errors import BadRequestError
from dagbook.spec.model import Pair
from dagbook.triggers.values import (
    Filter,
    Message,
    Pointer,
    UnusableError,
    check_params,
    find_failed,
    find_params,
    keep_headers,
    make_variables,
)

BAD = "$(touch x) `id` ${HOME} \" ' \n --flag"
BODY = {
    "ref": "refs/heads/main",
    "after": "4f1c",
    "n": 3,
    "t": True,
    "none": None,
    "": "empty",
    "a/b": {"c~d": [10, {"x": "y"}]},
    "bad": BAD,
}
MESSAGE = Message(headers={"x-github-event": "push"}, body=msgspec.json.encode(BODY), content_type="application/json")
FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("json:/ref", "refs/heads/main"),
        ("json:/n", 3),
        ("json:/", "empty"),
        ("json:/a~1b/c~0d/0", 10),
        ("json:/a~1b/c~0d/1/x", "y"),
        ("json:/none", None),
        ("json:", BODY),
        ("header:X-GitHub-Event", "push"),
        ("json:/missing", msgspec.UNSET),
        ("json:/ref/0", msgspec.UNSET),
        ("json:/a~1b/c~0d/2", msgspec.UNSET),
        ("json:/a~1b/c~0d/-1", msgspec.UNSET),
        ("json:/a~1b/c~0d/99999999999999999999", msgspec.UNSET),
        ("header:X-Other", msgspec.UNSET),
    ],
)
def test_a_pointer_finds_a_value(text: str, value: Any) -> None:
    assert MESSAGE.find(Pointer.read(text, "params")) == value


@pytest.mark.parametrize(
    "text", ["", "ref", "json:ref", "json", "query:x", "header:", "header:a b", "header:Authorization", "item:"]
)
def test_a_pointer_that_says_nothing_or_names_a_credential_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match=r"params\.X"):
        Pointer.read(text, "params.X")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("json:/ref = refs/heads/main", True),
        ("json:/ref = refs/heads/other", False),
        ("json:/ref != refs/heads/main", False),
        ("json:/missing != refs/heads/main", True),
        ("json:/missing = x", False),
        ("json:/ref in refs/heads/a, refs/heads/main", True),
        ("json:/ref in refs/heads/a", False),
        ("json:/ref ~ ^refs/(heads|tags)/", True),
        ("json:/ref ~ ^heads", False),
        ("json:/n = 3", True),
        ("json:/t = true", True),
        ("json:/none exists", True),
        ("json:/missing exists", False),
        ("header:x-github-event = push", True),
        ("json:/ref =", False),
        ("json:/ref !=", True),
        ('json:/a~1b = {"c~d":[10,{"x":"y"}]}', True),
    ],
)
def test_a_filter_holds_or_not(text: str, holds: bool) -> None:
    assert Filter.read(text).holds(MESSAGE) is holds
    assert find_failed([text], MESSAGE) == ("" if holds else text)


@pytest.mark.parametrize("text", ["", "json:/ref", "json:/ref > 3", "json:/ref ~ (", "ref = main", "json:/ref inside"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match=r"^filters: "):
        Filter.read(text)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": "\xed\xa0\x80"}', b'{"a": NaN}', b"{'a': 1}"]
)
def test_what_is_not_json_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableError, match=r"^the body is not JSON$"):
        find_failed(["json:/a exists"], Message(body=body))


def test_a_filter_on_a_header_does_not_read_the_body() -> None:
    assert find_failed(["header:x exists"], Message(headers={"x": "1"}, body=b"no JSON")) == ""


def test_a_form_is_an_object_of_its_fields_and_a_payload_in_it_is_json() -> None:
    fields = Message(body=b"a=1&a=2&b=x+y&c=", content_type=FORM)
    assert fields.document == {"a": "1", "b": "x y", "c": ""}
    payload = Message(body=b"payload=%7B%22after%22%3A%224f1c%22%7D", content_type=FORM)
    mapping = {"SHA": "json:/after"}
    assert find_params(mapping, payload) == find_params(mapping, MESSAGE) == (Pair("SHA", "4f1c"),)
    assert Message(body=b"payload=text", content_type=FORM).document == {"payload": "text"}
    assert Message(body=b' {"a": 1}', content_type=FORM).document == {"a": 1}  # as curl --data sends it


def test_a_param_is_a_text_and_a_missing_one_has_the_default_of_the_dag() -> None:
    mapping = {"A": "json:/n", "B": "json:/a~1b/c~0d", "C": "json:/missing", "D": "json:/bad", "E!": "json:/ref"}
    assert find_params(mapping, MESSAGE) == (
        Pair("A", "3"),
        Pair("B", '[10,{"x":"y"}]'),
        Pair("D", BAD),
        Pair("E", "refs/heads/main"),
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "the param X is required, and there is nothing at json:/a"),
        ({"a": "x" * (32 * 1024 + 1)}, "has 32769 bytes"),
        ({"a": "x\0y"}, "has a NUL character"),
    ],
)
def test_a_value_that_no_run_can_have_makes_the_event_unusable(body: dict[str, str], reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        find_params({"X!": "json:/a"}, Message(body=msgspec.json.encode(body)))


@pytest.mark.parametrize(
    "name",
    ["PATH", "LD_PRELOAD", "DAG_NAME", "http_proxy", "TRIGGER_NAME", "UPSTREAM_DAG", "WEBHOOK_PAYLOAD", "a b", "1"],
)
def test_names_that_programs_or_events_use_are_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match=r"^params: "):
        check_params({name: "json:/a"})


def test_a_name_is_given_once() -> None:
    check_params({"A": "json:/a", "B!": "header:X"})
    with pytest.raises(BadRequestError, match="twice"):
        check_params({"A": "json:/a", "A!": "json:/a"})


def test_the_payload_is_a_variable_without_a_mapping_up_to_96_kib() -> None:
    def made(body: bytes, *, has_mapping: bool = False) -> dict[str, str]:
        pairs = make_variables("push", "id", Message(body=body), has_mapping=has_mapping)
        return {pair.name: pair.value for pair in pairs}

    own = {"TRIGGER_NAME": "push", "TRIGGER_EVENT_ID": "id"}
    assert made(b"{}", has_mapping=True) == own
    assert made(b"{}") == {**own, "WEBHOOK_PAYLOAD": "{}", "TRIGGER_BODY_BYTES": "2"}
    for body in (b"x" * (96 * 1024 + 1), b"a\0b", b"\xff"):
        assert made(body) == {**own, "WEBHOOK_PAYLOAD": "", "TRIGGER_BODY_BYTES": str(len(body))}


def test_headers_are_kept_that_are_named_or_describe_the_event_and_no_credentials() -> None:
    headers = {
        "authorization": ["Bearer x"],
        "x-hub-signature-256": ["sha256=0"],
        "x-sig": ["0"],
        "user-agent": ["curl"],
        "x-github-event": ["push"],
        "x-a": ["1"],
        "x-b": ["2"],
        "x-c": ["3"],
        "x-twice": ["1", "2"],
    }
    filters, params = ["header:X-A = 1", "header:X-Twice exists"], {"B": "header:X-B"}
    kept = {"user-agent": "curl", "x-github-event": "push", "x-a": "1", "x-b": "2"}
    assert keep_headers(headers, filters, params, "X-Sig") == kept
