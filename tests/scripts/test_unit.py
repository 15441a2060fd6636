"""The systemd unit: it is valid, restricts what it says, and its documentation names the price of each line."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "dagbook.service"
DOCS = ROOT / "docs" / "reliability.md"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def analyze(*arguments: str | Path) -> tuple[int, str]:
    command = ["systemd-analyze", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as it would be on a machine where its program is installed."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/dagbook/bin/dagbook", "/bin/true"))
    return path


@needs_systemd
def test_systemd_finds_no_fault_with_the_unit(unit: Path) -> None:
    status, said = analyze("verify", unit)
    assert (status, [line for line in said.splitlines() if unit.name in line]) == (0, [])


@needs_systemd
def test_a_misspelled_line_would_be_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("NoNewPrivileges", "NoNewPrivilege"))
    assert "NoNewPrivilege" in analyze("verify", unit)[1]


@needs_systemd
def test_the_exposure_of_the_unit_is_below_three(unit: Path) -> None:
    status, said = analyze("security", "--offline=true", "--threshold=30", unit)
    assert status == 0, said


def test_every_restriction_has_its_price_in_the_documentation() -> None:
    restrictions = UNIT.read_text().partition("# Everything below")[2].partition("[Install]")[0]
    names = set(re.findall(r"^([A-Z][A-Za-z]+)=", restrictions, re.MULTILINE)) - {"SystemCallErrorNumber"}
    table = DOCS.read_text().partition("| line | protects |")[2].partition("\n\n")[0]
    assert {name for name in names if not re.search(rf"`{name}[=`]", table)} == set()
