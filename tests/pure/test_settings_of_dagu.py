"""What configures Dagu is not read, and told of with what has its effect here."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import TABLE, read
from app.settings.dagu import _NOTHING, _OPTIONS_OF_WORKER, _SETTINGS, find_unread


def _told(tmp_path: Path, environ: dict[str, str], *, has_own_file: bool = False) -> list[str]:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "none"), **environ}
    settings = read({}, {name: text for name, text in environ.items() if name.startswith("DAGBOOK_")}, tmp_path)
    return find_unread(settings, environ, has_own_file=has_own_file)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("DAGU_AUTH_MODE", "Dagbook's is DAGBOOK_AUTH_MODE"),
        ("DAGU_AUTHTOKEN", "Dagbook's is DAGBOOK_AUTH_TOKEN"),
        ("DAGU_CERT_FILE", "Dagbook's is DAGBOOK_TLS_CERT_FILE"),
        ("DAGU_DATA_DIR", "Dagbook's is DAGBOOK_DATABASE_URL"),
        ("DAGU__ADMIN_PORT", "Dagbook's is DAGBOOK_PORT"),
        ("DAGU_HOME", "Dagbook's is DAGBOOK_HOME"),
        ("DAGU_WORKER_LABELS", "Dagbook's is the option --label of dagbook worker"),
        ("DAGU_COORDINATOR_PORT", "Dagbook has no such setting"),
    ],
)
def test_a_variable_is_told_with_what_has_its_effect_here(tmp_path: Path, variable: str, told: str) -> None:
    assert _told(tmp_path, {variable: "x"}) == [f"{variable} is set: {told}"]


def test_every_setting_that_is_named_is_one_and_no_variable_is_named_twice() -> None:
    assert set(_SETTINGS) <= {setting.name for setting in TABLE}
    names = [*(name for theirs in _SETTINGS.values() for name in theirs), *_OPTIONS_OF_WORKER, *_NOTHING]
    assert len(names) == len(set(names))


def test_a_value_is_never_told(tmp_path: Path) -> None:
    assert "hunter2" not in str(_told(tmp_path, {"DAGU_AUTH_BASIC_PASSWORD": "hunter2"}))


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"DAGU_AUTH_MODE": ""},
        {"DAGU_AUTH_MODE": "basic", "DAGBOOK_AUTH_MODE": "builtin"},
        {"DAGU_PARAMS_JSON": "{}", "DAG_NAME": "flow", "DAG_RUN_ID": "1", "DAG_RUN_STATUS": "failed"},
        {"DAGU_SKIP_EXAMPLES": "true"},
    ],
    ids=str,
)
def test_nothing_is_told_of_what_has_no_consequence(tmp_path: Path, environ: dict[str, str]) -> None:
    assert _told(tmp_path, environ) == []


@pytest.mark.parametrize(
    ("environ", "read_by_dagu"),
    [
        ({}, ".dagu"),
        ({"XDG_CONFIG_HOME": "<home>/xdg"}, "xdg/dagu"),
        ({"XDG_CONFIG_HOME": ""}, ".config/dagu"),
        ({"DAGU_HOME": "<home>/d"}, "d"),
    ],
    ids=str,
)
def test_the_file_that_dagu_would_read_is_told(home: Path, environ: dict[str, str], read_by_dagu: str) -> None:
    file = home / read_by_dagu / "config.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    environ = {name: text.replace("<home>", str(home)) for name, text in environ.items()}
    told = f"{file} is not read: Dagbook's is {home}/dagbook.yaml"
    assert _told(home, environ)[-1] == told
    assert told not in _told(home, environ, has_own_file=True)
    if "DAGU_HOME" in environ:
        other = home / ".dagu" / "config.yaml"
        other.parent.mkdir()
        other.touch()
        assert _told(home, environ)[-1] == told
