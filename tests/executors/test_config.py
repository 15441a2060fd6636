"""The config of a step's executor, read loosely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dagbook.executors.config import Config
from dagbook.executors.contract import SetupError


def config(**values: Any) -> Config:
    return Config(values, "some")


def message_of(read: Callable[[], object]) -> str:
    with pytest.raises(SetupError) as caught:
        read()
    return str(caught.value)


def test_keys_are_found_whatever_their_case() -> None:
    assert config(SkipTlsVerify=True).flag("skipTLSVerify")


@pytest.mark.parametrize("keys", [("body", "BODY"), ("BODY", "body")])
def test_the_spelling_that_fits_exactly_wins(keys: tuple[str, str]) -> None:
    assert Config({key: key for key in keys}, "some").text("body") == "body"


def test_a_key_that_the_table_of_a_type_does_not_have_cannot_be_read() -> None:
    with pytest.raises(KeyError):
        Config({"bodi": "x"}, "http").text("bodi")


def test_an_absent_key_has_the_default_of_its_table() -> None:
    read = Config({"preservePaths": None, "compressionLevel": ""}, "archive")
    assert (read.flag("preservePaths"), read.integer("compressionLevel"), read.text("format")) == (True, -1, "")


def test_null_counts_as_left_out() -> None:
    read = config(body=None, headers=None, timeout=None, silent=None, include=None)
    found = (
        read.text("body"), read.mapping("headers"), read.integer("timeout"),
        read.flag("silent", True), read.texts("include"), read.has("body"),
    )  # fmt: skip
    assert found == ("", {}, 0, True, (), False)


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (12, "12"), (1.5, "1.5"), (True, "true"), ("", "")])
def test_scalars_become_text(value: Any, text: str) -> None:
    assert config(body=value).text("body") == text


@pytest.mark.parametrize("value", [True, 1, 2.0, "true", "TRUE", "1", " yes ", "on", "t"])
def test_words_and_numbers_are_true(value: Any) -> None:
    assert config(silent=value).flag("silent")


@pytest.mark.parametrize("value", [False, 0, 0.0, "false", "0", "No", "off", ""])
def test_words_and_numbers_are_false(value: Any) -> None:
    assert not config(silent=value).flag("silent", True)


@pytest.mark.parametrize(("value", "number"), [(30, 30), ("30", 30), (" -1 ", -1), (1.9, 1), (True, 1), ("", 0)])
def test_numbers_are_read_from_other_scalars(value: Any, number: int) -> None:
    assert config(timeout=value).integer("timeout") == number


@pytest.mark.parametrize("value", ["abc", "1.5", "0x10", "1_0", "٣", "9" * 19, float("inf"), float("nan"), [1], {}])
def test_a_value_that_is_no_integer_is_refused(value: Any) -> None:
    assert "some: timeout: expected a whole number, found" in message_of(
        lambda: config(timeout=value).integer("timeout")
    )


@pytest.mark.parametrize(
    ("value", "fault"), [(-1, "expected 0 or more, found -1"), (11, "expected 10 or less, found 11")]
)
def test_a_number_out_of_bounds_is_refused(value: int, fault: str) -> None:
    assert message_of(lambda: config(n=value).integer("n", least=0, most=10)) == f"some: n: {fault}"


@pytest.mark.parametrize("value", ["maybe", [True], {"a": 1}])
def test_what_is_no_boolean_is_refused(value: Any) -> None:
    assert "some: json: expected true or false, found" in message_of(lambda: config(json=value).flag("json"))


@pytest.mark.parametrize("value", [["secret"], {"a": "secret"}])
def test_a_refused_text_is_not_repeated(value: Any) -> None:
    assert "secret" not in message_of(lambda: config(password=value).text("password"))


@pytest.mark.parametrize(
    ("value", "texts"), [(["a", 1, True], ("a", "1", "true")), ("*.log", ("*.log",)), ([], ()), ("", ())]
)
def test_a_single_text_is_a_list_of_one(value: Any, texts: tuple[str, ...]) -> None:
    assert config(include=value).texts("include") == texts


@pytest.mark.parametrize("value", [[["a"]], [{"a": 1}], [None], {"a": 1}])
def test_a_list_of_other_things_is_refused(value: Any) -> None:
    assert "some: include: expected a list of texts" in message_of(lambda: config(include=value).texts("include"))


def test_a_map_keeps_its_keys_and_renders_its_values() -> None:
    assert config(headers={"X-Id": 7, "x-id": None}).mapping("headers") == {"X-Id": "7", "x-id": ""}


def test_what_is_no_map_is_refused_with_the_fix() -> None:
    message = message_of(lambda: config(headers="a: b").mapping("headers"))
    assert message == "some: headers: expected a map of texts, found a text; write headers: {name: text}"


def test_the_entry_of_a_map_that_is_no_text_is_named() -> None:
    message = message_of(lambda: config(headers={"X": ["a"]}).mapping("headers"))
    assert message == "some: headers.X: expected a text, found a list"


@pytest.mark.parametrize("values", [{}, {"source": ""}, {"source": "  "}])
def test_a_required_text_that_is_not_there_is_named(values: dict[str, Any]) -> None:
    message = message_of(lambda: Config(values, "archive").required("source", "name the archive to read"))
    assert message == "archive: source: is missing; name the archive to read"
