"""The file of a step's summary: what of it is read, and what is stored."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

import pytest

from dagbook.runs.output.spool import RunSpool
from dagbook.runs.output.summaries import CUT, LIMIT_BYTES, UNREADABLE, SummaryFile, stored_text
from dagbook.runs.secrets.masking import Masker
from dagbook.unix.unix_accounts import files_as

VALUE = "s3cr3t/battery+staple horse"
NOTHING = Masker()


@pytest.fixture
def file(tmp_path: Path) -> SummaryFile:
    return SummaryFile(str(tmp_path / "1_1_0-a"), "")


def _read(file: SummaryFile) -> str:
    return file.read(NOTHING, "utf-8")


def test_what_was_written_is_read_and_removed_before_the_next_execution(file: SummaryFile) -> None:
    assert _read(file) == ""
    file.path.write_text("# one\n")
    assert _read(file) == "# one\n"
    file.prepare(is_first=False)
    assert _read(file) == ""


@pytest.mark.parametrize("blank", ["", "\n", " \n\t\n"])
def test_a_blank_file_is_no_summary(file: SummaryFile, blank: str) -> None:
    file.path.write_text(blank)
    assert _read(file) == ""


def _link(path: Path) -> None:
    (path.parent / "secret").write_text(VALUE)
    path.symlink_to(path.parent / "secret")


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


@pytest.mark.parametrize("make", [_link, _dangling, os.mkfifo, Path.mkdir, _socket])
def test_what_is_no_regular_file_is_not_read_and_goes_with_the_rest(file: SummaryFile, make: object) -> None:
    assert callable(make)
    make(file.path)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    assert _read(file) == UNREADABLE
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    file.prepare(is_first=False)
    assert not os.path.lexists(file.path)
    make(file.path)
    file.remove()
    assert not os.path.lexists(file.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may switch users here")
def test_what_is_left_of_a_killed_server_takes_the_folder_of_the_account_along(tmp_path: Path) -> None:
    """The clean-up of a run that no server adopts knows its spool alone."""
    base, others = RunSpool(tmp_path, 1).node_base(0, "a"), tmp_path / "others"
    file = SummaryFile(base, "nobody")
    file.prepare(is_first=True)
    with files_as("nobody"):
        file.path.write_text("# one\n")
    others.mkdir()
    Path(f"{base}-b.summary").symlink_to(others / "summary.md")  # as a step of the server's account can make it
    RunSpool(tmp_path, 1).remove_all()
    assert not file.path.parent.exists()
    assert list(tmp_path.iterdir()) == [others]


def test_a_long_summary_is_cut_after_a_line_and_says_so() -> None:
    line = "- a line of the list, \N{SNOWMAN}\n"
    text = stored_text((line * 10_000).encode(), NOTHING, "utf-8")
    assert text.endswith(CUT)
    assert set(text.removesuffix(CUT).splitlines()) == {line.rstrip()}
    assert LIMIT_BYTES - 4096 < len(text.encode()) <= LIMIT_BYTES


def test_a_line_without_an_end_is_cut_between_characters() -> None:
    text = stored_text("\N{SNOWMAN}".encode() * LIMIT_BYTES, NOTHING, "utf-8")
    assert set(text.removesuffix(CUT)) == {"\N{SNOWMAN}"}
    assert LIMIT_BYTES - 8 <= len(text.encode()) <= LIMIT_BYTES


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert stored_text(b"a\xff\0b", NOTHING, "utf-8") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"
    assert stored_text("größer".encode("latin-1"), NOTHING, "latin-1") == "größer"


def test_short_secrets_do_not_make_it_longer_than_the_limit() -> None:
    text = stored_text(b"ab " * (LIMIT_BYTES // 3), Masker(["ab"]), "utf-8")
    assert text.endswith(CUT)
    assert len(text.encode()) <= LIMIT_BYTES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "latin-1"])
def test_no_part_of_a_secret_is_left_at_any_border(encoding: str) -> None:
    """The end of what is read, the limit, and the end of the file fall at every place of a secret (promise S5)."""
    masker, rng = Masker([VALUE]), random.Random(5)  # noqa: S311 - the same places each time
    secret = VALUE.encode(encoding)
    read = LIMIT_BYTES + masker.longest + 1
    for around in (LIMIT_BYTES, read, LIMIT_BYTES // 2):
        for shift in range(-len(secret) - 2, 3):
            before = around + shift - rng.randrange(2) * 2
            data = ("x" * (before // len("x".encode(encoding)))).encode(encoding) + secret + b"y" * 100
            text = stored_text(data[:read], masker, encoding)
            shown = text.removesuffix(CUT)
            for part in (VALUE[:4], VALUE[4:8], VALUE[-4:]):
                assert part not in shown, (around, shift)
