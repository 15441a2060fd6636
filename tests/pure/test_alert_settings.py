"""The settings of channels and rules as they are written, in a file and in a variable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagbook.settings import Settings, SettingsError, read
from dagbook.settings.definitions import TABLE

FILE = """
alert_channels:
  - {name: ops, type: slack, url: "${OPS_URL}", shared: true}
  - name: people
    type: mail
    to: [ann@example.org, bob@example.org]
    smtp: {host: mail.example.org, port: 25}
alert_rules:
  - {name: all, match: ["*", "!play-*"], on: [failed, waiting], to: [ops, "people +15m"]}
  - {name: billing, match: "tag:billing", on: failed, after: 2, to: people, quiet: "22:00-07:00 Europe/Berlin"}
"""
CHANNELS = [
    {"name": "ops", "type": "slack", "url": "https://hooks/topsecret", "shared": True},
    {
        "name": "people",
        "type": "mail",
        "to": ["ann@example.org", "bob@example.org"],
        "smtp": {"host": "mail.example.org", "port": 25},
    },
]


def of_file(folder: Path, text: str) -> Settings:
    (folder / "dagbook.yaml").write_text(text)
    return read({}, {"OPS_URL": "https://hooks/topsecret"}, folder)


def test_a_file_has_lists_maps_and_variables_of_the_environment(tmp_path: Path) -> None:
    settings = of_file(tmp_path, FILE)
    ops, people = settings.alert_channels
    assert ops.values == {"type": "slack", "url": "https://hooks/topsecret", "shared": True}
    assert people.values["smtp"] == {"host": "mail.example.org", "port": "25"}
    all_, billing = settings.alert_rules
    assert (all_.name, all_.values["match"], all_.values["to"]) == ("all", ["*", "!play-*"], ["ops", "people +15m"])
    assert (billing.values["match"], billing.values["on"], billing.values["after"]) == (["tag:billing"], ["failed"], 2)
    assert settings.credential_variables == {"OPS_URL"}


def test_a_variable_gives_the_same_as_json(tmp_path: Path) -> None:
    settings = read({}, {"DAGBOOK_ALERT_CHANNELS": json.dumps(CHANNELS)}, tmp_path)
    assert settings.alert_channels == of_file(tmp_path, FILE).alert_channels


def test_addresses_and_secrets_are_not_displayed(tmp_path: Path) -> None:
    values = [*CHANNELS, {"name": "phone", "type": "telegram", "secret": "topsecret", "to": "-1"}]
    settings = read({}, {"DAGBOOK_ALERT_CHANNELS": json.dumps(values)}, tmp_path)
    kind = next(setting.kind for setting in TABLE if setting.name == "alert_channels")
    shown: Any = kind.display(settings.alert_channels)
    assert "topsecret" not in f"{shown}{settings.alert_channels}"
    assert shown[1]["smtp"] == ["host=mail.example.org", "port=25"]
    again = read({}, {"DAGBOOK_ALERT_CHANNELS": json.dumps([shown[1]])}, tmp_path)
    assert again.alert_channels == settings.alert_channels[1:2]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alert_channels: [{name: a}]", "channel 1 (a): type: is missing"),
        ("alert_channels: [{type: slack}]", "channel 1: name: is missing"),
        (
            "alert_channels: [{name: [a], type: slack}]",
            "channel 1: name: a list or a map is given where one value belongs",
        ),
        (
            "alert_channels: [{name: a, type: slack, url: '***'}]",
            "channel 1 (a): url: *** stands for what is not shown",
        ),
        ("alert_channels: [{name: a, type: mail, smtp: {hots: x}}]", "channel 1 (a): smtp: 'hots' is no key of a mail"),
        ("alert_channels: [{name: a, type: mail, smtp: {host: [x]}}]", "is nested; write one value or a list"),
        ("alert_channels: [{name: a, type: x}, {name: a, type: x}]", "channel 2 (a): name: is there twice"),
        ("alert_channels: [{name: a, type: x, enabled: maybe}]", "channel 1 (a): enabled: 'maybe' does not fit"),
        ("alert_channels: ops", "list of maps such as"),
        ("alert_rules: [{name: a, match: '*', on: [], to: x}]", "rule 1 (a): on: is missing"),
        (
            "alert_rules: [{name: a, match: '*', on: failed, to: x, after: many}]",
            "rule 1 (a): after: 'many' does not fit",
        ),
        ("alert_rules: [{name: a, match: '*', on: failed, to: x, dag: b}]", "rule 1 (a): dag: is no key of a rule"),
        ("sources: [{name: a, place: [b]}]", "source 1 (a): place: a list or a map is given where one value belongs"),
    ],
)
def test_what_cannot_be_read_names_the_entry_and_the_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        of_file(tmp_path, text)
    assert problem in str(raised.value)
