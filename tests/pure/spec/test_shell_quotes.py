"""Quoted references in shell text: whatever a value holds, real shells read it as text, and run nothing of it."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from dagbook.spec.expansion.shell_quotes import ShellQuotes, reads_posix

REFERENCE = '"${A}"'
# What a shell prints of a plain value, with the value as %.
TEXTS = {
    'printf %s "${A}"': "%",
    'printf %s \'{"a": "${A}"}\'': '{"a": "%"}',
    'printf %s "a "${A}" b"': "a % b",
    'x=`printf %s "${A}"`; printf %s "$x"': "%",
    'printf %s "`printf %s "${A}"`"': "%",
    'x=`printf %s \'"${A}"\'`; printf %s "$x"': '"%"',
    '# don\'t\nprintf %s "${A}"': "%",
    'cat <<EOF\nit\'s "${A}"\nEOF\nprintf %s "${A}"': 'it\'s "%"\n%',
    'cat <<\'EOF\'\nit\'s "${A}"\nEOF\nprintf %s "${A}"': 'it\'s "%"\n%',
    'cat <<-EOF\n\t"${A}"\n\tEOF\nprintf %s "${A}"': '"%"\n%',
    'cat <<EOF\n$(printf %s "${A}") `printf %s "${A}"`\nEOF': "% %\n",
    'printf %s "$(printf %s "${A}")"': "%",
    "printf %s \"$(printf '%s' '\"${A}\"')\"": '"%"',
    'printf %s $((1<<2)) "${A}"': "4%",
    'printf %s it\\\'s "${A}"': "it's%",
    'printf %s "it\'s" "${A}" \'"${A}"\'': 'it\'s%"%"',
    '(printf %s "${A}")': "%",
    'printf %s ${X:-"${A}"}': "%",
    'if true; then\n  printf %s "${A}" # it\'s "fine\nfi': "%",
    'printf %s "a"\'"${A}"\'"${A}"': 'a"%"%',
    'printf %s "$(case x in x) printf %s \'"${A}"\' ;; esac)"': None,  # cannot be followed: left to the shell
    "printf %s $'a\\'\"${A}\"b'": None,
}
VALUES = [
    *("$(touch HIT)", "`touch HIT`", "'; touch HIT; '", '"; touch HIT; "', '\\"; touch HIT; \\"', "; touch HIT"),
    *(
        "\\'; touch HIT; '",
        "$(touch HIT)\\",
        "\\$(touch HIT)",
        "a\nEOF\ntouch HIT\n",
        "\\`touch HIT\\`",
        "& touch HIT &",
    ),
    *('"$(touch HIT)"', "'$(touch HIT)'", "\\\\`touch HIT`", "#", "$A ${A}", "\\"),
]


def _with_value(text: str, value: str) -> str:
    quotes, position = ShellQuotes(text), 0
    pieces: list[str] = []
    while (found := text.find(REFERENCE, position)) >= 0:
        quoting = quotes.at(found)
        pieces += (text[position:found], quoting.insert(value) if quoting else REFERENCE)
        position = found + len(REFERENCE)
    return "".join((*pieces, text[position:]))


def _run(shell: str, text: str, value: str, directory: Path) -> str:
    env = {"A": value, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([shell, "-c", text], env=env, cwd=directory, capture_output=True, check=False)
    return done.stdout.decode()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_no_value_runs_anything(shell: str, text: str, tmp_path: Path) -> None:
    for value in VALUES:
        _run(shell, _with_value(text, value), value, tmp_path)
        assert not (tmp_path / "HIT").exists(), value


@pytest.mark.parametrize("text", [text for text, printed in TEXTS.items() if printed is not None])
def test_a_shell_reads_the_value_itself(text: str, tmp_path: Path) -> None:
    for value in ("plain words", "$HOME `date` $(date)", "it's"):
        expected = (TEXTS[text] or "").replace("%", value)
        assert _run("sh", _with_value(text, value), value, tmp_path) == expected


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (("/bin/sh",), True),
        (("bash", "-e"), True),
        (("/usr/bin/env", "bash"), True),
        (("nix-shell",), True),
        (("pwsh",), False),
        (("/usr/bin/env", "python3"), False),
        ((), False),
    ],
)
def test_the_shells_that_read_posix_text(shell: tuple[str, ...], expected: bool) -> None:
    assert reads_posix(shell) is expected


def test_the_tests_have_both_shells() -> None:
    assert shutil.which("sh")
    assert shutil.which("bash")


HUGE = {
    "subshells": "(:)\n" * 50_000 + REFERENCE,
    "quotes in quotes": REFERENCE + '"$( ' * 50_000,
    "backticks": "`:` " * 25_000 + REFERENCE + "`\\`" * 25_000,
    "commands": "sh -c ':' | eval 'x' && let \"a\" " * 10_000 + REFERENCE,
    "here-documents": "".join(f": <<A{number}\nA{number}\n" for number in range(10_000)) + REFERENCE,
    "here-documents in each other": "".join(f"$(cat <<A{number}\n" for number in range(10_000))
    + REFERENCE
    + "".join(f"\nA{number}\n)" for number in reversed(range(10_000))),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_long_text_is_read_in_time_in_proportion_to_its_length(name: str) -> None:
    begun = time.process_time()
    ShellQuotes(HUGE[name])
    assert time.process_time() - begun < 2
