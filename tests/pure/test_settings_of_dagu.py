"""What configures Dagu is not read, and expected of with what has its effect here."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagbook.settings import TABLE, read
from dagbook.settings.dagu import _SETTINGS, _UNSUPPORTED, _WORKER_OPTIONS, find_ignored


def _told(tmp_path: Path, environ: dict[str, str], *, has_own_file: bool = False) -> list[str]:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "none"), **environ}
    settings = read({}, {name: text for name, text in environ.items() if name.startswith("DAGBOOK_")}, tmp_path)
    return find_ignored(settings, environ, has_own_file=has_own_file)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "expected"),
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
def test_an_ignored_variable_is_reported_with_its_equivalent(tmp_path: Path, variable: str, expected: str) -> None:
    assert _told(tmp_path, {variable: "x"}) == [f"{variable} is set: {expected}"]


def test_every_setting_that_is_named_is_one_and_no_variable_is_named_twice() -> None:
    assert set(_SETTINGS) <= {setting.name for setting in TABLE}
    names = [*(name for theirs in _SETTINGS.values() for name in theirs), *_WORKER_OPTIONS, *_UNSUPPORTED]
    assert len(names) == len(set(names))


def test_a_value_is_never_reported(tmp_path: Path) -> None:
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
def test_irrelevant_variables_are_not_reported(tmp_path: Path, environ: dict[str, str]) -> None:
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
def test_the_file_that_dagu_would_read_is_reported(home: Path, environ: dict[str, str], read_by_dagu: str) -> None:
    file = home / read_by_dagu / "config.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    environ = {name: text.replace("<home>", str(home)) for name, text in environ.items()}
    expected = f"{file} is not read: Dagbook's is {home}/dagbook.yaml"
    assert _told(home, environ)[-1] == expected
    assert expected not in _told(home, environ, has_own_file=True)
    if "DAGU_HOME" in environ:
        other = home / ".dagu" / "config.yaml"
        other.parent.mkdir()
        other.touch()
        assert _told(home, environ)[-1] == expected
