"""References where shells stand in each other: shells run nothing of a value that they would not run anyway."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.pure.spec.nested_shells import LAYERS, LEAVES, SHELLS, VALUES, runs, texts, with_value, write_programs
from tests.selection import Share

# Those of the finding, and a few that only look like them.
FIXED = (
    'x=`basename \\`dirname "${A}"\\``',
    'x=`basename \\`dirname \\`printf %s "${A}"\\`\\``',
    "trap 'rm -rf -- \"${A}\"' EXIT",
    "find . -maxdepth 0 -exec sh -c 'echo \"${A}\"' \\;",
    'cat <<E\n`echo \\""${A}"\\"`\nE',
    'printf %s "`echo \\""${A}"\\"`"',
    "eval 'echo \"${A}\"'",
    "eval echo '\"${A}\"'",
    "su user -c 'echo \"${A}\"'",
    "echo x | xargs sh -c 'echo \"${A}\"'",
    "ssh host 'echo \"${A}\"'",
    'printf a `# it\'s`\nprintf %s "${A}" `# b`\n',
    "sh <<'E'\necho \"${A}\"\nE",
)
# What a shell prints of a value, with the value as %.
PRINTED = {
    "trap 'printf %s \"${A}\"' EXIT": "%",
    "eval 'printf %s \"${A}\"'": "%",
    "sh -c 'printf %s \"${A}\"'": "%",
    "/bin/bash -e -o pipefail -c 'printf %s \"${A}\"' name": "%",
    "su user -c 'printf %s \"${A}\"'": "%",
    "echo x | xargs -n 1 sh -c 'printf %s \"${A}\"'": "%",
    'x=`printf %s \\`printf %s "${A}" | wc -l\\``; printf %s "${A}"': "%",
    "cat <<'E' | sh\nprintf %s \"${A}\"\nE": "%",
    # No other shell reads these.
    'printf %s \'{"a": "${A}"}\' | sed s/x/x/': '{"a": "%"}',
    'set -- bash; printf %s \'{"a": "${A}"}\'': '{"a": "%"}',
    'sh -c \'printf %s "$1"\' _ "${A}"': "%",
    'trap : EXIT; printf %s \'{"a": "${A}"}\'': '{"a": "%"}',
    "printf 'cat' > y.sh; printf %s '{\"a\": \"${A}\"}' | sh y.sh": '{"a": "%"}',
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the programs that stand in for others."""
    return write_programs(tmp_path_factory.mktemp("nested"))


def printed(text: str, value: str, tmp_path: Path, programs: Path, *, has_variable: bool = True) -> tuple[int, str]:
    """Return the exit code and output of ``sh`` with a text in which the value was put."""
    environ = {"PATH": f"{programs}:/usr/bin:/bin", **({"A": value} if has_variable else {})}
    script = with_value(text, value)
    done = subprocess.run(["sh", "-c", script], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("text", FIXED)
def test_no_value_is_run_where_shells_nest(text: str, tmp_path: Path, programs: Path) -> None:
    assert found_unsafe([(*case, text) for case in product(SHELLS, VALUES)], tmp_path, programs) == []


@pytest.mark.parametrize("text", PRINTED)
def test_another_shell_reads_the_value_itself(text: str, tmp_path: Path, programs: Path) -> None:
    for value in ("plain", "two words", "$HOME `date` $(date)", "it's", ""):
        assert printed(text, value, tmp_path, programs) == (0, PRINTED[text].replace("%", value))


def test_a_shell_without_the_variable_fails_instead_of_taking_an_empty_value(tmp_path: Path, programs: Path) -> None:
    text = "ssh host 'printf %s x\"${A}\"'"
    assert printed(text, "plain-1.0/x", tmp_path, programs) == (0, "xplain-1.0/x")
    code, output = printed(text, "two words", tmp_path, programs)
    assert code != 0
    assert output == ""


@pytest.mark.parametrize("name", ["${build.stdout}", "${OUT.key}"])
def test_what_is_no_variable_is_put_in_only_if_it_is_plain(name: str, tmp_path: Path, programs: Path) -> None:
    text = f"sh -c 'printf %s x\"{name}\"'"
    plain = with_value(text, "/logs/a_1.log")
    assert plain == "sh -c 'printf %s x\"/logs/a_1.log\"'"
    for value in VALUES:
        script = with_value(text, value)
        assert not runs("sh", script, value, tmp_path, programs)
        assert subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=False).returncode != 0


def found_unsafe(cases: Sequence[tuple[str, str, str]], directory: Path, programs: Path) -> list[tuple[str, ...]]:
    """Return cases (shell, value, text) that ran something, unless the shell runs a value in the text as it is."""

    def unsafe(case: tuple[str, str, str]) -> bool:
        shell, value, text = case
        own = Path(mkdtemp(dir=directory))
        return runs(shell, with_value(text, value), value, own, programs) and not any(
            runs(shell, text, other, own, programs) for other in VALUES
        )

    with ThreadPoolExecutor(2) as pool:
        return [case for case, is_unsafe in zip(cases, pool.map(unsafe, cases), strict=True) if is_unsafe]


def test_no_value_is_run_in_any_text_with_one_layer(share: Share, tmp_path: Path, programs: Path) -> None:
    cases = share.of(list(product(SHELLS, VALUES, texts(1))))
    assert found_unsafe(cases, tmp_path, programs) == []


@pytest.mark.full
@pytest.mark.parametrize(
    ("layers", "part", "number"), [*((2, 44, number) for number in (0, 11, 22, 33)), (3, 2_818, 0), (3, 2_818, 1_409)]
)
def test_no_value_is_run_in_a_part_of_the_texts_with_more_layers(
    layers: int, part: int, number: int, share: Share, tmp_path: Path, programs: Path
) -> None:
    every = list(texts(layers))
    assert len(every) == len(LEAVES) * len(LAYERS) ** layers
    cases = share.smaller(part).of(list(product(SHELLS, VALUES, every)), number)
    assert len(cases) > 2_000
    assert found_unsafe(cases, tmp_path, programs) == []
