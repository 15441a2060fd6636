"""What the scripts do to .venv, with a Python that makes hollow environments and a pip that only notes its calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

PYTHON = """#!/bin/sh
if [ "$1 $2" != "-m venv" ]; then exec '{python}' "$@"; fi
echo made >>environments
mkdir -p "$3/bin"
ln -s '{python}' "$3/bin/python"
cat >"$3/bin/pip" <<'PIP'
#!/bin/sh
if [ -e broken ]; then exit 7; fi
echo "$*" >>installs
PIP
cat >"$3/bin/dagbook" <<'DAGBOOK'
#!/bin/sh
echo "$PWD: $*"
DAGBOOK
chmod +x "$3/bin/pip" "$3/bin/dagbook"
"""


class Checkout:
    """A copy of the checkout's scripts and locks, and what was done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("pyproject.toml", "setup.py"):
            shutil.copy(CHECKOUT / name, folder)
        for name in ("requirements", "scripts"):
            shutil.copytree(CHECKOUT / name, folder / name)
        (folder / "app").mkdir()
        self.python = folder / "python"
        self.python.write_text(PYTHON.format(python=sys.executable))
        self.python.chmod(0o755)

    def start(self, script: str, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.folder / "scripts" / script, *arguments],
            cwd=self.folder.parent,
            env={**os.environ, "PYTHON": str(self.python), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: str, **environ: str) -> tuple[int, str, str]:
        process = self.start(script, *arguments, **environ)
        output, errors = process.communicate()
        return process.returncode, output, errors

    def count(self, what: str) -> int:
        path = self.folder / what
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return Checkout(folder)


def test_serve_installs_by_the_locks_and_hands_its_arguments_on(checkout: Checkout) -> None:
    status, output, errors = checkout.run("serve", "--port", "1 2")
    assert (status, output) == (0, f"{checkout.folder.parent}: serve --port 1 2\n")
    packages, project = (checkout.folder / "installs").read_text().splitlines()
    locks = "--requirement requirements/build.txt --requirement requirements/runtime.txt"
    assert packages.endswith(f"--require-hashes {locks}")
    assert project.endswith("--no-index --no-build-isolation --editable .")
    assert [line.split(":")[0] for line in errors.splitlines()] == ["dagbook"] * 4


def test_a_second_start_installs_nothing_and_says_nothing(checkout: Checkout) -> None:
    checkout.run("serve")
    assert checkout.run("serve")[2] == ""
    assert checkout.count("installs") == 2


@pytest.mark.parametrize("name", ["requirements/runtime.txt", "requirements/build.txt", "pyproject.toml"])
def test_a_change_of_what_is_needed_installs_into_the_same_environment(checkout: Checkout, name: str) -> None:
    checkout.run("serve")
    with (checkout.folder / name).open("a") as file:
        file.write("# changed\n")
    checkout.run("serve")
    assert (checkout.count("environments"), checkout.count("installs")) == (1, 4)


def test_serve_needs_nothing_of_the_tests(checkout: Checkout) -> None:
    checkout.run("serve")
    with (checkout.folder / "requirements/dev.txt").open("a") as file:
        file.write("# changed\n")
    checkout.run("serve")
    assert checkout.count("installs") == 2


def test_setup_installs_what_the_tests_need_on_top(checkout: Checkout) -> None:
    checkout.run("serve")
    checkout.run("setup")
    assert checkout.count("environments") == 1
    assert "--requirement requirements/dev.txt" in (checkout.folder / "installs").read_text()


def test_after_setup_serve_has_nothing_to_install(checkout: Checkout) -> None:
    checkout.run("setup")
    checkout.run("serve")
    assert checkout.count("installs") == 2


def test_docs_installs_by_its_own_lock_into_its_own_environment(checkout: Checkout) -> None:
    checkout.run("setup")
    for _ in range(2):
        checkout.run("docs")
    assert (checkout.count("environments"), checkout.count("installs")) == (2, 3)
    assert (checkout.folder / "installs").read_text().endswith("--require-hashes --requirement requirements/docs.txt\n")
    checkout.run("serve")
    assert checkout.count("installs") == 3


def test_docs_refuses_arguments_that_it_does_not_have(checkout: Checkout) -> None:
    assert checkout.run("docs", "server") == (1, "", "dagbook: usage: scripts/docs [serve]\n")
    assert checkout.count("environments") == 0


def test_an_install_that_failed_is_done_again_from_nothing(checkout: Checkout) -> None:
    broken = checkout.folder / "broken"
    broken.touch()
    assert checkout.run("serve")[0] != 0
    broken.unlink()
    assert checkout.run("serve")[0] == 0
    assert checkout.count("environments") == 2


def test_two_starts_at_once_install_once(checkout: Checkout) -> None:
    processes = [checkout.start("serve") for _ in range(3)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert (checkout.count("environments"), checkout.count("installs")) == (1, 2)


def test_a_checkout_that_moved_installs_again(checkout: Checkout) -> None:
    checkout.run("serve")
    moved = checkout.folder.rename(checkout.folder.parent / "moved")
    done = subprocess.run([moved / "scripts" / "serve"], capture_output=True, text=True, check=True)
    assert "ready" in done.stderr


def test_without_a_python_that_fits_the_package_is_named(checkout: Checkout) -> None:
    status, _, errors = checkout.run("serve", PYTHON="no-such-python")
    assert status == 1
    assert errors.endswith("On Debian: apt-get install python3 python3-venv\n")


def test_a_python_that_makes_no_environments_names_its_package(checkout: Checkout) -> None:
    checkout.python.write_text('#!/bin/sh\ncase "$2" in *venv*) exit 1 ;; esac\n')
    status, _, errors = checkout.run("serve")
    assert status == 1
    assert errors.endswith("cannot make a virtual environment. On Debian: apt-get install python3-venv\n")
