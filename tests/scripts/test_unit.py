"""The systemd unit: it is valid, restricts what it says, and its documentation names the price of each line."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from dagbook.cli import execute
from dagbook.cli.server.systemd import TEMPLATE as UNIT
from dagbook.cli.server.systemd import Unit, quote

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "explanation" / "reliability.md"
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


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Print a unit with the given options, under no settings but these variables."""

    def run(*words: str | Path, **variables: str) -> tuple[int, str, str]:
        for name in [name for name in os.environ if name.startswith("DAGBOOK_")]:
            monkeypatch.delenv(name)
        for name, text in variables.items():
            monkeypatch.setenv(f"DAGBOOK_{name.upper()}", text)
        status = execute(["systemd", *map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


Printed = Callable[..., tuple[int, str, str]]
ACCOUNT = pwd.getpwuid(os.getuid()).pw_name


def test_the_unit_of_an_account_of_a_service_is_the_template() -> None:
    unit = Unit(account="dagbook", home=Path("/var/lib/dagbook"), command=["/opt/dagbook/bin/dagbook"], program=[])
    assert unit.render() == UNIT.read_text()


@needs_systemd
def test_systemd_accepts_the_printed_unit(printed: Printed, tmp_path: Path) -> None:
    home = tmp_path / 'a "home" of 100% $HOME'
    home.mkdir()
    values = {"port": "9000", "work_dir": "work", "queues": "small=1,large=4", "default_shell": "sh -c"}
    status, out, err = printed("--home", home, "--account", ACCOUNT, **values)
    assert (status, err) == (0, "")
    path = tmp_path / "dagbook.service"
    path.write_text(out)
    assert [line for line in analyze("verify", path)[1].splitlines() if path.name in line] == []
    assert analyze("security", "--offline=true", "--threshold=35", path)[0] == 0  # the account may be root


def test_a_unit_has_the_settings_and_paths_of_its_server(printed: Printed, tmp_path: Path) -> None:
    database = "/mnt/data/dags.sqlite3"
    options = ("--home", "/srv/dags", "--account", ACCOUNT, "--config", tmp_path / "settings.yaml")
    variables = {
        "database_url": f"sqlite:///{database}",
        "spool_dir": "/mnt/spool",
        "auth_token": "a token that is long enough",
    }
    status, out, err = printed(*options, **variables)
    assert (status, out) == (1, "")
    assert "settings.yaml" in err
    (tmp_path / "settings.yaml").write_text("port: 1234\n")
    status, out, err = printed(*options, **variables)
    lines = out.splitlines()
    assert status == 0
    assert {
        f"User={ACCOUNT}",
        "Environment=DAGBOOK_HOME=/srv/dags",
        f"Environment=DAGBOOK_CONFIG={tmp_path}/settings.yaml",
        "Environment=DAGBOOK_SPOOL_DIR=/mnt/spool",
        f"Environment=DAGBOOK_DATABASE_URL=sqlite:///{database}",
        f"ExecStart={sys.executable} -P -m dagbook serve",
        "ReadWritePaths=/tmp /var/tmp -/srv/dags -/mnt/data -/mnt/spool",
    } <= set(lines)
    assert not [line for line in lines if line.startswith(("StateDirectory", "Environment=DAGBOOK_AUTH"))]
    assert err.splitlines() == [
        f"Notice: there is no /srv/dags: install -d -m 0700 -o {ACCOUNT} /srv/dags",
        "Notice: DAGBOOK_AUTH_TOKEN is a secret, and left out: LoadCredential=dagbook.auth_token:FILE, a file with it",
    ]


@pytest.mark.parametrize(
    ("mode", "file", "writable"),
    [
        ("accept-new", "", Path.home() / ".ssh"),
        ("accept-new", "/mnt/keys/hosts", "/mnt/keys"),
        ("true", "/mnt/a/b", ""),
    ],
)
def test_a_server_that_adds_host_keys_may_write_their_file(
    printed: Printed, mode: str, file: str, writable: str | Path
) -> None:
    _, out, _ = printed("--home", "/srv/dags", "--account", ACCOUNT, ssh_strict_host_key=mode, ssh_known_hosts=file)
    (line,) = [line for line in out.splitlines() if line.startswith("ReadWritePaths=")]
    paths = [path.removeprefix("-") for path in line.partition("=")[2].split()]
    assert paths[3:] == [str(writable)] * bool(writable)


def test_a_notice_is_a_command_for_a_shell_also_with_blanks_in_the_home(printed: Printed, tmp_path: Path) -> None:
    home = tmp_path / "my $HOME"
    status, _, err = printed("--home", home, "--account", "no_such_account")
    assert status == 0
    commands = [shlex.split(line.rpartition(": ")[2]) for line in err.splitlines()[:2]]
    assert [(words[0], str(home) in words) for words in commands] == [("useradd", True), ("install", True)]


def test_a_home_that_the_account_does_not_own_is_told(printed: Printed, tmp_path: Path) -> None:
    err = printed("--home", tmp_path, "--account", "no_such_account")[2]
    assert f"Notice: {tmp_path} belongs to {ACCOUNT}: chown -R no_such_account {tmp_path}\n" in err
    assert "belongs to" not in printed("--home", tmp_path, "--account", ACCOUNT)[2]


def test_a_home_of_a_person_is_not_hidden_from_its_server() -> None:
    unit = Unit(account="ann", home=Path("/home/ann/.dagbook"), command=["/opt/bin/dagbook"], program=[])
    lines = unit.render().splitlines()
    assert [line for line in lines if line.startswith("ProtectHome")] == ["ProtectHome=read-only"]


def test_the_script_of_an_installation_is_what_starts(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/my tools/dagbook", "systemd"])
    out = printed("--account", "nobody")[1]
    assert '\nExecStart="/opt/my tools/dagbook" serve\n' in out
    assert "\nStateDirectory=dagbook\n" in out


@pytest.mark.parametrize("name", ["", "a b", "-x", "a\nExecStart=/bin/sh", "x" * 40])
def test_a_name_that_no_account_has_is_refused(printed: Printed, name: str) -> None:
    status, out, err = printed(f"--account={name}")
    assert (status, out) == (1, "")
    assert "--account" in err


def test_a_program_in_a_cache_gets_no_unit(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/ann/.cache/uv/archive-v0/abc")
    status, out, err = printed("--account", ACCOUNT)
    assert (status, out) == (1, "")
    assert "pipx install WHEEL" in err


def test_a_line_break_does_not_get_into_a_unit() -> None:
    with pytest.raises(click.ClickException, match="cannot"):
        quote("a\nExecStart=/bin/sh")
