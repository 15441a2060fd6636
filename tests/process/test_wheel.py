"""The wheel, installed into an environment of its own: it works without the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from dagbook import __version__
from tests.process.waiting import wait_for

CHECKOUT = Path(__file__).parents[2]
SOURCES = ["app", "migrations", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"]


class Installed:
    """An environment that holds the wheel and nothing else; what it depends on is lent from the running one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        # Folders of PYTHONPATH have no say about more folders: an editable install of the checkout stays out.
        lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        self.environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sorted(lent)), "DAGBOOK_HOME": str(folder / "home")}

    def run(self, *command: str | Path) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: a build leaves folders beside its sources, and takes up what an earlier one left.
    sources = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        path = CHECKOUT / name
        if path.is_dir():
            shutil.copytree(path, sources / name)
        else:
            shutil.copy(path, sources / name)
    target = tmp_path_factory.mktemp("wheel")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        target,
        sources,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = target.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    environment = Installed(folder)
    pip = Path(sys.prefix) / "bin" / "pip"
    install: list[str | Path] = [
        pip,
        "--python",
        environment.python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    subprocess.run(install, check=True, capture_output=True)
    return environment


def data_files(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)) for path in files}


def package_folder(installed: Installed) -> Path:
    return Path(installed.run(installed.python, "-c", "import dagbook; print(dagbook.__path__[0])"))


def test_the_installed_package_is_the_one_that_runs(installed: Installed) -> None:
    assert package_folder(installed).is_relative_to(installed.folder)


def test_the_wheel_brings_one_top_level_package(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert top == {"dagbook", f"dagbook-{__version__}.dist-info"}


def test_the_wheel_carries_every_file_of_the_package(installed: Installed) -> None:
    files = data_files(package_folder(installed))
    packaged = {name for name in files if not name.startswith("_migrations/")}
    assert data_files(CHECKOUT / "app" / "dagbook") - packaged == _types_of_scripts()
    assert packaged <= data_files(CHECKOUT / "app" / "dagbook")


def _types_of_scripts() -> set[str]:
    """Return the files that only tsc reads."""
    web = CHECKOUT / "app" / "dagbook" / "web"
    files = [web / "tsconfig.json", *web.joinpath("types").iterdir(), *web.joinpath("static").rglob("*.d.ts")]
    return {str(path.relative_to(CHECKOUT / "app" / "dagbook")) for path in files}


def test_the_wheel_carries_the_migrations_inside_the_package(installed: Installed) -> None:
    files = data_files(package_folder(installed) / "_migrations")
    assert files == data_files(CHECKOUT / "migrations")
    assert {"env.py", "script.py.mako"} <= files


def test_the_installed_command_answers(installed: Installed) -> None:
    assert installed.run(installed.folder / "bin" / "dagbook", "version") == __version__


def test_the_installed_package_makes_its_database(installed: Installed) -> None:
    installed.run(installed.python, "-m", "dagbook", "db", "upgrade")
    assert (installed.folder / "home" / "dagbook.sqlite3").is_file()


def test_the_installed_package_serves_the_demo_from_an_empty_directory(installed: Installed, tmp_path: Path) -> None:
    """With its pages and examples, to the end of a first run; then nothing is left."""
    command = installed.folder / "bin" / "dagbook"
    (here := tmp_path / "here").mkdir()
    (home := tmp_path / "home").mkdir()
    environ = installed.environ | {"HOME": str(home), "TMPDIR": str(tmp_path)}
    del environ["DAGBOOK_HOME"]
    output = tmp_path / "output"
    with output.open("wb") as file:
        server = subprocess.Popen(
            [command, "serve", "--demo", "--port", "0"], cwd=here, env=environ, stdout=file, stderr=file
        )
    try:
        told = wait_for("the server", lambda: _told(output, f"  {command} run hello --home "))
        address = told.partition("Dagbook serves ")[2].split()[0]
        page = httpx.get(f"{address}/").text
        assets = sorted(set(re.findall(r'"(assets/[^"]+)"', page)))
        assert len(assets) > 10
        assert [asset for asset in assets if not httpx.get(f"{address}/{asset}").is_success] == []
        demo = told.rpartition(" --home ")[2].strip()
        run: list[str | Path] = [command, "run", "hello", "--home", demo]
        done = subprocess.run(run, cwd=here, env=environ, capture_output=True, text=True, check=True)
        assert done.stdout.endswith("Hello, world, your name has 5 letters.\n✓ greet\nsucceeded\n")
    finally:
        server.terminate()
        assert server.wait(60) == 0
    assert (list(here.iterdir()), list(home.iterdir()), Path(demo).exists()) == ([], [], False)


def _told(output: Path, text: str) -> str | None:
    told = output.read_text()
    return told if text in told and told.endswith("\n") else None
