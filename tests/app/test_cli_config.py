from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dagbook import __version__
from dagbook.cli import COMMANDS
from dagbook.cli import execute as run
from dagbook.settings import TABLE

NODES = '[{"name": "east", "url": "http://east.example/api/v2", "auth": "token", "token": "topsecret"}]'
RECORDS = {
    "remote_nodes": NODES,
    "sources": '[{"name": "team", "place": "/srv/dags", "hook_secret": "topsecret"}]',
    "secret_commands": '{"op": {"argv": ["op"], "env": {"OP_TOKEN": "topsecret"}}}',
    "alert_channels": '[{"name": "ops", "type": "slack", "url": "https://host/topsecret"}]',
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in os.environ:
        if variable.startswith("DAGBOOK_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("DAGBOOK_HOME", str(tmp_path))
    return tmp_path


def read_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert run(["config", "--json", *arguments]) == 0
    rows: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def test_config_prints_every_setting_in_the_form_of_the_settings_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config"]) == 0
    assert list(yaml.safe_load(capsys.readouterr().out)) == [setting.name for setting in TABLE]


def test_what_config_prints_can_be_the_settings_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--allowed-hosts", "a.example,b.example"]) == 0
    (home / "dagbook.yaml").write_text(capsys.readouterr().out.replace('default_shell: ""', ""))
    assert read_json(capsys)["allowed_hosts"]["value"] == ["a.example", "b.example"]


def test_config_tells_where_each_value_came_from(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "dagbook.yaml").write_text("log_format: json\n")
    monkeypatch.setenv("DAGBOOK_BASE_PATH", "/x")
    rows = read_json(capsys, "--port", "9")
    origins = {name: rows[name]["origin"] for name in ("home", "log_format", "base_path", "port", "tz")}
    assert origins == {
        "home": "DAGBOOK_HOME",
        "log_format": f"{home}/dagbook.yaml:1",
        "base_path": "DAGBOOK_BASE_PATH",
        "port": "--port",
        "tz": "default",
    }


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_hides_the_password_of_the_database(form: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", *form, "--database-url", "postgresql://u:topsecret@h/db"]) == 0
    output = capsys.readouterr().out
    assert "topsecret" not in output
    assert "postgresql://u:***@h/db" in output


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_hides_every_secret(
    form: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = [setting for setting in TABLE if setting.kind.is_secret]
    for setting in secrets:
        monkeypatch.setenv(setting.variable, RECORDS.get(setting.name, "topsecret" * 4))
    assert run(["config", *form]) == 0
    output = capsys.readouterr().out
    assert "topsecret" not in output
    assert output.count("***") == len(secrets) >= 9


def test_secrets_are_not_given_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--auth-token", "topsecret"]) == 1
    assert "No such option" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "value"), [(["--insecure"], True), (["--insecure", "--port", "7"], True), (["--insecure=false"], False)]
)
def test_a_switch_needs_no_value(given: list[str], value: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_json(capsys, *given)["insecure"]["value"] is value


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_global_option_may_stand_before_or_after_the_command(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("port: 7\n")
    option = ["--config", str(other)]
    arguments = [*option, "config", "--json"] if place == "before" else ["config", "--json", *option]
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["port"]["value"] == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["config", "--nonsense"], "No such option '--nonsense'"),
        (["config", "--port"], "Option '--port' requires an argument"),
        (["config", "--port", "x"], "port (--port): 'x' does not fit; write a whole number from 0 to 65535"),
        (["config", "-c", "/nowhere.yaml"], "settings file (/nowhere.yaml): cannot be read"),
    ],
)
def test_every_error_is_a_sentence_on_stderr_and_status_1(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"Error: {message}" in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "status"), [(["-q", "config"], 0), (["config", "-q"], 0), (["config", "--quiet", "--port", "x"], 1)]
)
def test_quiet_leaves_only_the_exit_status(
    arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == status
    assert capsys.readouterr() == ("", "")


def test_quiet_ends_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    run(["-q", "version"])
    run(["version"])
    assert capsys.readouterr().out == f"{__version__}\n"


def test_without_a_command_the_help_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    output = capsys.readouterr().out
    listed = {name for name, entry in COMMANDS.items() if entry.section}
    assert {name for name in COMMANDS if f"\n  {name} " in output} == listed
    assert COMMANDS.keys() - listed == {"server", "start-all", "start", "scheduler", "coordinator"}
    for section in ("Run", "Look", "DAGs", "Server", "People", "Database", "Help"):
        assert f"\n{section}:\n" in output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["confg"], "No such command 'confg'. Did you mean 'config'?"),
        (["db", "chek"], "No such command 'chek'. Did you mean 'check'?"),
        (["xyz"], "No such command 'xyz'."),
    ],
)
def test_a_mistyped_command_is_told_which_was_meant(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 1
    assert capsys.readouterr().err.endswith(f"Error: {told}\n")


@pytest.mark.parametrize("name", ["audit", "dag", "db", "queue", "tokens", "users"])
def test_the_help_of_a_group_says_whole_sentences(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_python_dash_m_dagbook_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "dagbook", "version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{__version__}\n"


def test_config_does_not_load_the_web_framework_or_the_database() -> None:
    program = "import sys; from dagbook.cli import execute; execute(['-q', 'config']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"litestar", "sqlalchemy", "uvicorn", "asyncio"} & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    ("flags", "insecure"),
    [
        (["--insecure", "-p=8081"], True),
        (["-p=8081", "--insecure"], True),
        (["--insecure", "false", "-p", "8081"], False),
        (["--insecure=false", "-p=8081"], False),
    ],
    ids=["switch-first", "switch-last", "value", "equals"],
)
def test_a_switch_leaves_the_option_after_it_alone(
    capsys: pytest.CaptureFixture[str], flags: list[str], insecure: bool
) -> None:
    rows = read_json(capsys, *flags)
    assert (rows["insecure"]["value"], rows["port"]["value"]) == (insecure, 8081)
