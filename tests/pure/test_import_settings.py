"""A ``config.yaml`` of Dagu 1.x becomes settings of Dagbook, each key with an answer."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dagbook.settings import TABLE
from dagbook.transfer.settings_report import SETTINGS, translate


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"port": 9000, "host": "::1"}, {"port": "9000", "host": "::1"}),
        ({"basePath": "/x", "TZ": "UTC", "debug": True}, {"base_path": "/x", "tz": "UTC", "log_level": "debug"}),
        ({"debug": False}, {"log_level": "info"}),
        ({"auth": {"builtin": {"token": {"ttl": "1h30m"}}}}, {"auth_token_ttl_seconds": "5400"}),
        ({"monitoring": {"interval": "500ms", "retention": 60}}, {"monitoring_interval_seconds": "0.5"}),
        (
            {
                "queues": {
                    "enabled": True,
                    "config": [{"name": "a", "maxConcurrency": 2}, {"name": "b", "maxActiveRuns": 3}],
                }
            },
            {"queues_enabled": "true", "queues": {"a": "2", "b": "3"}},
        ),
        ({"auth": {"oidc": {"scopes": ["openid", "email"]}}}, {"auth_oidc_scopes": ["openid", "email"]}),
        ({"permissionWriteDAGs": False}, {"permissions_write_dags": "false"}),
        ({"workDir": "${HOME}/x"}, {"work_dir": "${HOME}/x"}),
    ],
)
def test_keys_with_a_counterpart_are_translated(config: dict[str, Any], expected: dict[str, Any]) -> None:
    written = yaml.safe_load(translate(config).text)
    assert {name: written[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("config", "key", "reason"),
    [
        ({"headless": True}, "headless", "always served"),
        ({"paths": {"dagsDir": "/x"}}, "paths.dagsDir", "in the database"),
        ({"paths": {"baseConfig": "/x"}}, "paths.baseConfig", "base_config"),
        ({"remoteNodes": [{"name": "x"}]}, "remoteNodes", "remote_nodes"),
        ({"ui": {"navbarTitle": "x"}}, "ui.navbarTitle", "no such setting"),
        ({"peer": {"insecure": True}}, "peer.insecure", "no such service"),
        ({"somethingNew": 1}, "somethingNew", "Dagbook has no such setting"),
        ({"port": "many"}, "port", "port: 'many' does not fit"),
        ({"host": ["a"]}, "host", "host: is not one value"),
        ({"monitoring": {"interval": "soon"}}, "monitoring.interval", "'soon' is not a duration"),
        ({"queues": {"config": ["x"]}}, "queues.config", "is not a list of queues"),
        ({"auth": {"token": {"value": "a"}}, "authToken": "b"}, "authToken", "already given by another key"),
    ],
)
def test_every_other_key_is_answered_with_a_reason(config: dict[str, Any], key: str, reason: str) -> None:
    found = {each.key: each for each in translate(config).keys}
    assert (found[key].setting, reason in found[key].reason) == ("", True), found[key]


def test_secrets_are_only_in_the_text_when_they_are_asked_for() -> None:
    config = {"auth": {"basic": {"username": "ann", "password": "topsecret"}}}
    hidden, shown = translate(config), translate(config, secrets=True)
    assert "topsecret" not in str(hidden)
    assert "# auth_basic_password: is a secret" in hidden.text
    assert yaml.safe_load(shown.text)["auth_basic_password"] == "topsecret"  # noqa: S105 - of a test


def test_a_deep_or_large_configuration_is_cut_short() -> None:
    deep: dict[str, Any] = {"x": 1}
    for _ in range(50):
        deep = {"x": deep}
    assert len(translate(deep).keys) == 1
    assert len(translate({f"k{number}": 1 for number in range(5_000)}).keys) == 1_000


@pytest.mark.parametrize("leaf", [1, None, {}])
def test_aliases_of_aliases_do_not_take_for_ever(leaf: object) -> None:
    wide: dict[str, Any] = {"x": leaf}
    for _ in range(6):
        wide = {f"k{number}": wide for number in range(100)}
    assert len(translate(wide).keys) == (1_000 if leaf == 1 else 0)


def test_an_empty_configuration_has_no_text() -> None:
    assert translate({}).text == ""


def test_all_settings_exist() -> None:
    assert {setting for setting, _ in SETTINGS.values()} <= {setting.name for setting in TABLE}
