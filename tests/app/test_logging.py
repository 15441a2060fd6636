from __future__ import annotations

import io
import json
import logging

import pytest

from dagbook.runs.secrets.masking import Masker
from dagbook.telemetry.logging import configure, masked_log


def logged(log_format: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure(log_format, level, stream)
    return stream


def test_text_is_one_line_of_keys_and_values() -> None:
    stream = logged("text")
    logging.getLogger("dagbook.runs").info("run started", extra={"run": "r-1", "steps": 2})
    time, rest = stream.getvalue().split(" ", 1)
    assert time.startswith("time=20")
    assert rest == 'level=info logger=dagbook.runs message="run started" run=r-1 steps=2\n'


def test_a_value_cannot_pretend_to_be_a_line_of_the_log() -> None:
    stream = logged("text")
    logging.getLogger("dagbook").info("name %s", "x\ntime=2000 level=error")
    assert stream.getvalue().count("\n") == 1


def test_json_is_one_object_per_line() -> None:
    stream = logged("json")
    logging.getLogger("dagbook").warning("two\nlines", extra={"run": "r-1"})
    record = json.loads(stream.getvalue())
    assert record.pop("time").endswith("+00:00")
    assert record == {"level": "warning", "logger": "dagbook", "message": "two\nlines", "run": "r-1"}


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_exception_stays_on_the_line_of_its_record(log_format: str) -> None:
    stream = logged(log_format)
    try:
        int("reason")
    except ValueError:
        logging.getLogger("dagbook").exception("failed")
    assert "ValueError: invalid literal" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_what_is_less_severe_than_the_level_is_not_logged() -> None:
    stream = logged("text", "warning")
    logging.getLogger("dagbook").info("quiet")
    logging.getLogger("dagbook").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_configuring_again_replaces_what_was_there() -> None:
    first = logged("text")
    second = logged("text")
    logging.getLogger("dagbook").info("once")
    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_secrets_of_a_task_s_run_are_masked_in_what_it_logs(log_format: str) -> None:
    stream = logged(log_format)
    mask = Masker(['hunter"2']).mask
    with masked_log(mask):
        try:
            raise ValueError('no such user: hunter"2')  # noqa: TRY301 - the traceback is what is looked at
        except ValueError:
            logging.getLogger("dagbook").exception("executor %s", 'hunter"2', extra={"password": 'hunter"2'})
    assert "hunter" not in stream.getvalue()
    assert stream.getvalue().count("*******") >= 3


def test_what_others_log_is_not_masked() -> None:
    stream = logged("text")
    with masked_log(lambda _: "masked"):
        pass
    logging.getLogger("dagbook").info("hunter2")
    assert "hunter2" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_character_that_controls_a_terminal_is_logged(log_format: str) -> None:
    stream = logged(log_format)
    hostile = "\x1b[2J\x7f\x9b31m\u202e\u2066\u2028"
    logging.getLogger("dagbook").warning("name %s", hostile, extra={"other": hostile})
    assert stream.getvalue().rstrip("\n").isprintable()
