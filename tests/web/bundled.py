"""A server that sends the bundle of the web UI, as one of a release does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.conftest import end
from tests.process.program import ROOT
from tests.web.site import Site, fill, open_site

PACKAGE = ROOT / "app" / "dagbook"


@contextmanager
def bundled_site(folder: Path) -> Iterator[Site]:
    """Serve a package that has the checkout's files, and a bundle of its scripts and styles."""
    _make_package(folder / "app" / "dagbook")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(folder / "app"))  # before the checkout
        site = open_site(folder / "home")
    try:
        fill(site)
        yield site
    finally:
        site.client.close()
        end(site.program)


def _make_package(package: Path) -> None:
    web = package / "web"
    web.mkdir(parents=True)
    for path in (*PACKAGE.iterdir(), *(PACKAGE / "web").iterdir()):
        if path.name not in ("web", "bundle"):
            (package / path.relative_to(PACKAGE)).symlink_to(path)
    subprocess.run([sys.executable, ROOT / "scripts" / "bundle", web], check=True)
