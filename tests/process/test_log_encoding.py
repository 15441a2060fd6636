"""A server that dies in the middle of a character: the next one goes on with it (setting log_encoding)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process import conftest, invariants
from tests.process.program import Program
from tests.process.waiting import wait_for

# What is written before the server dies and behind it: the border lies in a character.
LINE = "geheim 日本語\n"
WRITTEN = {
    encoding: (data[: len(data) - cut], data[len(data) - cut :])
    for encoding, cut in (("shift_jis", 6), ("utf-16", 9), ("iso2022_jp", 7))
    if (data := f"{LINE}{LINE}日本語\n{LINE}".encode(encoding))
}
SPEC = """
secrets: [{{name: SEC, provider: file, key: {directory}/secret}}]
steps:
  - name: a
    stdout: {directory}/copy
    command: |
      cat {directory}/before
      while [ ! -e {directory}/go ]; do sleep 0.05; done
      cat {directory}/behind
"""


@pytest.fixture(params=WRITTEN)
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def program(tmp_path: Path, make_url: Callable[[Path], str], encoding: str) -> Iterator[Program]:
    """A server whose steps write in an encoding."""
    home = tmp_path / "home"
    server = Program(home, make_url(home), settings={"log_encoding": encoding})
    try:
        yield server.start()
    finally:
        conftest.end(server)
    assert invariants.find_violations(server.database_url) == []


def test_a_server_that_takes_over_reads_on_in_the_middle_of_a_character(
    program: Program, tmp_path: Path, encoding: str
) -> None:
    before, behind = WRITTEN[encoding]
    (tmp_path / "before").write_bytes(before)
    (tmp_path / "behind").write_bytes(behind)
    (tmp_path / "secret").write_text("geheim 日本")
    run_id = program.api.start(SPEC.format(directory=tmp_path))
    wait_for("the lines that are whole", lambda: program.api.log(run_id, "a").count("語") >= 2)
    program.kill()
    (tmp_path / "go").touch()
    program.start()
    program.api.ended(run_id)
    text = "*******語\n*******語\n日本語\n*******語\n"
    assert program.api.log(run_id, "a") == text.rstrip("\n")
    assert (tmp_path / "copy").read_bytes().decode(encoding) == text
