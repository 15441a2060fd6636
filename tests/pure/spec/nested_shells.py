"""Texts in which shells stand in each other around ``"${A}"``, and values that run a command where they leave it.

A text is made of a leaf and of layers around it. The programs of ``PROGRAMS`` stand in for those that log in elsewhere.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from dagbook.spec.expansion.expand import Mode, Variables, expand
from tests.pure.spec.evaluation import evaluated

SHELLS = ("sh", "bash")
LEAVES = (
    'printf %s "${A}"',
    'printf %s "a "${A}" b"',
    'printf %s \'{"a": "${A}"}\'',
    'printf %s ${X:-"${A}"}',
    'cat <<E\n"${A}"\nE',
)
_Layer = Callable[[str], str]


def _single(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _double(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`") + '"'


def _backticks(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _escaped_quotes(text: str) -> str:
    """Put a text in backticks as it has to be within double quotes; the reference keeps its own."""
    return _backticks(text.replace('"${A}"', "%").replace('"', '\\"').replace("%", '\\""${A}"\\"'))


LAYERS: dict[str, _Layer] = {
    "substitution": lambda text: f'x=$({text}\n); printf %s "$x"',
    "substitution in quotes": lambda text: f'printf %s "$({text}\n)"',
    "backticks": lambda text: f"x=`{text}`",
    "escaped backticks": lambda text: f'x={_backticks(text)}; printf %s "$x"',
    "backticks in quotes": lambda text: f'printf %s "{_backticks(text)}"',
    "escaped quotes": lambda text: f'printf %s "{_escaped_quotes(text)}"',
    "backticks in a here-document": lambda text: f"cat <<H\n{_backticks(text)}\nH\n",
    "escaped quotes in a here-document": lambda text: f"cat <<H\n{_escaped_quotes(text)}\nH\n",
    "substitution in a here-document": lambda text: f"cat <<H\n$({text}\n)\nH\n",
    "comment in backticks": lambda text: f"printf a `# it's`\n{text} `# b`\n",
    "comment": lambda text: f"# it's \"a `\n{text}",
    "trap": lambda text: f"trap {_single(text)} EXIT",
    "eval": lambda text: f"eval {_single(text)}",
    "eval of words": lambda text: f"eval {text}",
    "sh -c": lambda text: f"sh -c {_single(text)}",
    "bash -ec": lambda text: f"/bin/bash -e -o pipefail -ec {_single(text)} name",
    "shell by its variable": lambda text: f'"${{SHELL:-sh}}" -c {_single(text)}',

    "find": lambda text: f"find . -maxdepth 0 -exec sh -c {_single(text)} {{}} \\;",
    "xargs": lambda text: f"echo x | xargs -n 1 sh -c {_single(text)}",
    "su": lambda text: f"su user -c {_single(text)}",
    "ssh": lambda text: f"ssh -o X=y host {_single(text)}",
    "lines for sh": lambda text: f"sh <<'H'\n{text}\nH\n",
    "lines for ssh": lambda text: f"ssh host sh -s <<-'H'\n{text}\nH\n",
    "lines through a pipe": lambda text: f"cat <<'H' | sh -e\n{text}\nH\n",
    "a script": lambda text: f"cat > x.sh <<'H'\n{text}\nH\nsh x.sh",
    "a script with its interpreter": lambda text: f"cat > x <<'H'\n#!/bin/sh\n{text}\nH\nsh ./x",
    "text through a pipe": lambda text: f"printf %s {_single(text)} | sh",
    "group": lambda text: f"{{ {text}\n}}",
    "subshell": lambda text: f"({text}\n)",
    "if": lambda text: f"if true; then {text}\nfi",
    "case": lambda text: f"case a in a) {text}\n;; esac",
    "function": lambda text: f"f() {{ {text}\n}}; f",
    "arithmetic": lambda text: f"printf %s $((1 << 2)) $(({text.count('x')})); {text}",
    "default": lambda text: f"printf %s ${{X:-$({text}\n)}}",
    "default in quotes": lambda text: f'printf %s "${{X:-$({text}\n)}}"',
    "quotes in a default": lambda text: f'printf %s "${{X:-\'{text}\'}}"',
    "quotes after a default": lambda text: f"printf %s \"${{X:-it's}}\" ; {text} # '",
}  # fmt: skip
# Each runs the command ``touch HIT`` if it leaves quotes of some kind, or is evaluated.
VALUES = (
    "$(touch HIT)",
    "`touch HIT`",
    ";>HIT;",
    '";touch HIT;"',
    "';touch HIT;'",
    '\\";touch HIT;\\"',
    "\\';touch HIT;\\'",
    "a\\",
    "$(touch HIT)\";touch HIT;\"';touch HIT;'`touch HIT`\\",
    "\\$(touch HIT)\\\\`touch HIT\\\\`",
    "\\\\\";touch HIT;\\\\'",
    "\nH\nE\ntouch HIT\n",
    ")\ntouch HIT\n}",
    "'\"';touch HIT;'\"'",
)
PROGRAMS = {
    "su": '#!/bin/sh\nexec sh -c "$3"\n',
    "ssh": '#!/bin/sh\nwhile [ "$1" != host ]; do shift; done; shift\nexec env -i PATH="$PATH" sh -c "${*:-sh}"\n',
}


def texts(depth: int) -> Iterator[str]:
    """Make all texts with so many layers."""
    for leaf, layers in product(LEAVES, product(LAYERS.values(), repeat=depth)):
        text = leaf
        for layer in layers:
            text = layer(text)
        yield text


def write_programs(directory: Path) -> Path:
    """Write the programs into a directory of their own, which is returned."""
    programs = directory / "bin"
    programs.mkdir()
    for name, script in PROGRAMS.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    return programs


def with_value(text: str, value: str) -> str:
    """Return a script with a value put in: of the param A, a path of an output, and the log of a step."""
    variables = Variables(({"A": value, "OUT.key": value, "build.stdout": value},))
    return evaluated(expand(text, mode=Mode.VARS, variables=variables, for_shell=True))


def runs(shell: str, text: str, value: str, directory: Path, programs: Path) -> bool:
    """Whether a shell that has the value in its environment runs the command in it."""
    environ = {"A": value, "PATH": f"{programs}:/usr/bin:/bin"}
    arguments = [shell, "-c", text]
    subprocess.run(
        arguments, env=environ, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
    )
    hit = directory / "HIT"
    if not hit.exists():
        return False
    hit.unlink()
    return True
