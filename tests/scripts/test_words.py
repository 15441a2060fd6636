from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WORDS = Path(__file__).parents[2] / "scripts" / "words.py"


def words(file: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, WORDS, file], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_private_word_is_printed_with_its_place_and_what_to_use(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text('"""A run."""\n# The run is over.\n')
    assert words(file) == (1, f"{file}:2: 'is over': use finished\n")


@pytest.mark.parametrize("text", ["The run is finished.", "an overview", "the server is overloaded", "the total of it"])
def test_other_words_pass(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.md"
    file.write_text(text)
    assert words(file) == (0, "")
