"""Which tests a quick run has (``tests/changes.py``)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import changes

# b is imported by a, a by its test; c by a test of another level; the command line starts d by its name.
IMPORTERS = {
    "dagbook.b": {"dagbook.a"},
    "dagbook.a": {"tests.pure.test_a"},
    "dagbook.c": {"tests.app.test_c", "tests.app.scene"},
    "dagbook.cli.p.d": {"dagbook.cli"},
    "dagbook.cli": {"tests.app.scene"},
    "dagbook.db": set[str](),
    "dagbook.db.i": {"tests.pure.test_i"},
    "dagbook.db.sub.j": {"tests.pure.test_a"},
    "tests.app.scene": {"tests.app.test_cli_d", "tests.app.test_e"},
    **dict.fromkeys(
        ("tests.pure.test_a", "tests.pure.test_i", "tests.app.test_c", "tests.app.test_cli_d", "tests.app.test_e"),
        frozenset[str](),
    ),
    "tests.process.test_f": set[str](),
    "tests.web.test_g": set[str](),
    "tests.scripts.test_h": set[str](),
}
PROGRAM = {"tests/process/test_f.py": 1, "tests/web/test_g.py": 1}
BEHIND_C = {"tests/app/test_c.py": 1, "tests/app/test_cli_d.py": 2, "tests/app/test_e.py": 2}


@pytest.mark.parametrize(
    ("changed", "reached"),
    [
        (["app/dagbook/b.py"], {"tests/pure/test_a.py": 2, **PROGRAM}),
        (["app/dagbook/c.py"], {**BEHIND_C, **PROGRAM}),
        (["app/dagbook/cli/p/d.py"], {"tests/app/test_cli_d.py": 1, "tests/app/test_e.py": 3, **PROGRAM}),
        (["app/dagbook/db/schema.sql"], {"tests/pure/test_i.py": 1, **PROGRAM}),
        (["tests/app/test_e.py"], {"tests/app/test_e.py": 0}),
        (["tests/app/scene.py"], {"tests/app/test_cli_d.py": 1, "tests/app/test_e.py": 1}),
        (["tests/web/data.json"], {"tests/web/test_g.py": 1}),
        (["tests/web/js/parts.test.js"], {}),
        (["docs/page.md"], {"tests/scripts/test_h.py": 1}),
        (["app/dagbook/removed.py"], PROGRAM),
        (["README.md"], {"tests/scripts/test_h.py": 1}),
    ],
)  # fmt: skip
def test_a_change_reaches_the_tests_that_import_it(changed: list[str], reached: dict[str, int]) -> None:
    assert changes.find_reached_tests(IMPORTERS, changed) == reached


def test_a_change_of_a_dependency_reaches_all_tests() -> None:
    reached = changes.find_reached_tests(IMPORTERS, ["requirements/runtime.txt"])
    assert set(reached.values()) == {1}
    assert len(reached) == 8


@pytest.mark.parametrize("file", ["tests/conftest.py", "tests/selection.py", "tests/changes.py", "pyproject.toml"])
def test_a_change_of_what_all_tests_share_reaches_all_tests(file: str) -> None:
    modules = {str(path.relative_to(changes.ROOT)) for path in (changes.ROOT / "tests").glob("*/**/test_*.py")}
    assert changes.find_reached_tests(changes.import_graph(), [file]).keys() == modules


@pytest.mark.parametrize(
    ("file", "test"),
    [
        ("app/dagbook/executors/process/shim.sh", "tests/executors/test_process.py"),
        ("app/dagbook/executors/http/http.py", "tests/executors/test_http.py"),
    ],
)
def test_what_no_import_leads_to_reaches_its_tests(file: str, test: str) -> None:
    assert test in changes.find_reached_tests(changes.import_graph(), [file])


def test_levels_share_the_time_and_the_nearest_modules_come_first() -> None:
    far, near, long = "tests/app/test_far.py", "tests/app/test_near.py", "tests/app/test_long.py"
    pure = [f"tests/pure/test_{number}.py" for number in range(3)]
    reached = {far: 2, near: 1, long: 1, **dict.fromkeys(pure, 1)}
    seconds = {far: 1.0, near: 5.0, long: 60.0, **dict.fromkeys(pure, 5.0)}
    assert changes.cut(reached, seconds, 10) == ([near, pure[0]], [far, long, *pure[1:]])
    assert changes.cut(reached, seconds, 21) == ([far, near, *pure], [long])
    assert changes.cut(reached, seconds, 81) == (sorted(reached), [])


def test_scenes_are_the_tests_with_the_mark(tmp_path: Path) -> None:
    mark = "@pytest.mark.always\n"
    test = "def test_{}() -> None: ...\n\n"
    text = f"{mark}{test.format('a')}{test.format('b')}@pytest.mark.timeout(1)\n{mark}async {test.format('c')}"
    (tmp_path / "test_some.py").write_text(text)
    (tmp_path / "test_whole.py").write_text("pytestmark = [pytest.mark.always, pytest.mark.both_engines]\n")
    (tmp_path / "test_none.py").write_text('"""pytest.mark.always"""\npytestmark = pytest.mark.both_engines\n')
    name = tmp_path.name
    assert changes.list_scenes(tmp_path) == [
        f"{name}/test_some.py::test_a",
        f"{name}/test_some.py::test_c",
        f"{name}/test_whole.py",
    ]


def test_a_scene_of_a_chosen_module_is_not_named_again() -> None:
    selection = changes.Selection(["tests/a.py"], ["tests/a.py::test_x", "tests/b.py::test_y", "tests/c.py"], [], "")
    assert selection.arguments == ["tests/a.py", "tests/b.py::test_y", "tests/c.py"]


def test_without_the_history_the_fixed_scenes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base"
    base.write_text("0" * 40 + "\n")
    monkeypatch.setattr(changes, "BASE", base)
    selection = changes.select()
    assert selection.arguments == selection.scenes
    assert selection.reason == "commit 0000000000 is not in the history here: the fixed scenes alone"


def test_files_are_compared_with_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        return subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    for word in ("BASE", "SECONDS"):
        monkeypatch.setattr(changes, word, tmp_path / word)
    monkeypatch.setattr(changes, "ROOT", tmp_path)
    for name in ("kept", "changed", "removed", "BASE"):
        (tmp_path / name).write_text(name)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    (tmp_path / "changed").write_text("x")
    (tmp_path / "removed").unlink()
    (tmp_path / "new").write_text("x")
    (tmp_path / "BASE").write_text("x")
    assert changes.list_changed_files(git("rev-parse", "HEAD").strip()) == ["changed", "new", "removed"]
    assert changes.list_changed_files("0" * 40) is None


def test_the_fixed_scenes_have_what_must_never_break() -> None:
    scenes = changes.list_scenes(changes.ROOT / "tests")
    assert {scene.split("/")[1] for scene in scenes} >= {"pure", "db", "runs", "app", "contract", "process", "web"}
    for needed in (
        "app/test_attacks.py",
        "process/test_recovery.py",
        "contract/test_openapi.py",
        "runs/test_recorder.py",
    ):
        assert f"tests/{needed}" in scenes
