"""The setting ``remote_nodes``: how it is written, what is wrong with it, what is shown of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagbook.settings import TABLE, Settings, SettingsError, read
from dagbook.settings.nodes import RemoteNode

KIND = next(setting.kind for setting in TABLE if setting.name == "remote_nodes")
FILE = """
remote_nodes:
  - name: east
    url: https://east.example/api/v2/
    auth: token
    token: ${EAST_TOKEN}
    skip_tls_verify: true
    timeout_seconds: 2.5
  - {name: west, url: 'http://west.example:8080/flows/api/v2', auth: basic, username: u, password: 'p: ä'}
"""
URL = "http://h/api/v2"


def _read(text: str, tmp_path: Path, **environ: str) -> Settings:
    (tmp_path / "dagbook.yaml").write_text(text)
    return read({}, environ, tmp_path)


def _of_variable(tmp_path: Path, nodes: Any) -> Settings:
    return read({}, {"DAGBOOK_REMOTE_NODES": nodes if isinstance(nodes, str) else json.dumps(nodes)}, tmp_path)


def test_nodes_are_maps_in_the_file(tmp_path: Path) -> None:
    east, west = _read(FILE, tmp_path, EAST_TOKEN="t").remote_nodes  # noqa: S106 - of tests
    assert (east.name, east.url, east.auth, east.token) == ("east", "https://east.example/api/v2", "token", "t")
    assert (east.skip_tls_verify, east.timeout_seconds) == (True, 2.5)
    assert (west.auth, west.username, west.password, west.skip_tls_verify) == ("basic", "u", "p: ä", False)
    assert west.timeout_seconds == 30


def test_a_variable_holds_them_as_json(tmp_path: Path) -> None:
    node = {"name": "east", "url": URL, "skip_tls_verify": True, "timeout_seconds": 5}
    assert _of_variable(tmp_path, [node]).remote_nodes == (
        RemoteNode(name="east", url=URL, skip_tls_verify=True, timeout_seconds=5),
    )


def test_there_are_none_by_default(tmp_path: Path) -> None:
    assert read({}, {}, tmp_path).remote_nodes == ()
    assert _read("remote_nodes: []", tmp_path).remote_nodes == ()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"url": URL}, "node 1: name: is missing"),
        ({"name": "local", "url": URL}, "node 1 (local): name: 'local' does not fit"),
        ({"name": "a b", "url": URL}, "node 1: name: 'a b' does not fit"),
        ({"name": "a"}, "node 1 (a): url: is missing"),
        ({"name": "a", "url": "h/api"}, "node 1 (a): url: is no address of an API"),
        ({"name": "a", "url": "http://h"}, "node 1 (a): url: is no address of an API; write one with its path"),
        ({"name": "a", "url": "http://u:topsecret@h/api"}, "node 1 (a): url: is no address of an API"),
        ({"name": "a", "url": "http://h/api?remoteNode=a"}, "node 1 (a): url: is no address of an API"),
        ({"name": "a", "url": URL, "tokn": "topsecret"}, "tokn: is no key of a node; did you mean token?"),
        ({"name": "a", "url": URL, "isBasicAuth": True}, "isBasicAuth: is no key of a node; write one of name, url"),
        ({"name": "a", "url": URL, "auth": "digest"}, "auth: 'digest' does not fit; write one of none, basic, token"),
        ({"name": "a", "url": URL, "token": "topsecret"}, "token: does not go with auth: none; change auth"),
        ({"name": "a", "url": URL, "auth": "token"}, "token: is missing, which auth: token needs"),
        ({"name": "a", "url": URL, "auth": "token", "token": "topsecret\n"}, "token: holds a character that no header"),
        ({"name": "a", "url": URL, "auth": "basic", "username": "u"}, "password: is missing, which auth: basic needs"),
        ({"name": "a", "url": URL, "auth": "basic", "username": "u:v", "password": "topsecret"}, "username: must hold"),
        ({"name": "a", "url": URL, "auth": "token", "token": "***"}, "token: *** stands for what is not shown"),
        ({"name": "a", "url": URL, "skip_tls_verify": "yes"}, "skip_tls_verify: 'yes' does not fit"),
        ({"name": "a", "url": URL, "timeout_seconds": 0}, "timeout_seconds: '0' does not fit"),
    ],
)
def test_an_invalid_node_is_reported_with_its_key(tmp_path: Path, node: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _of_variable(tmp_path, [node])
    said = str(caught.value)
    assert said.startswith("remote_nodes (DAGBOOK_REMOTE_NODES): ")
    assert message in said
    assert "topsecret" not in said


def test_a_name_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"node 2 \(a\): name: is there twice"):
        _of_variable(tmp_path, [{"name": "a", "url": URL}, {"name": "a", "url": "http://other/api/v2"}])


@pytest.mark.parametrize("text", ["topsecret", "{}", "[1]", '["topsecret"]', "[", "***"])
def test_a_variable_that_is_no_list_of_maps_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^remote_nodes .* a list of maps") as caught:
        _of_variable(tmp_path, text)
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("remote_nodes: [east]", "is a list of maps"),
        ("remote_nodes: [{name: {a: b}}]", "a list or a map is given where one value belongs"),
        ("remote_nodes: [{name:}]", "has no value"),
        ("remote_nodes: [{token: '${NOWHERE}'}]", "NOWHERE"),
        ("remote_nodes: {name: east}", "is nested"),
        ("remote_nodes: east", "a list of maps"),
        ("remote_nodes:\n  - name: a\n    name: b", ":3): name: is there twice in one item"),
        ("allowed_hosts: [{a: b}]", "is nested"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=r"dagbook\.yaml:\d") as caught:
        _read(text, tmp_path)
    assert message in str(caught.value)


def test_credentials_are_not_shown(tmp_path: Path) -> None:
    nodes = _read(FILE, tmp_path, EAST_TOKEN="topsecret").remote_nodes  # noqa: S106 - of tests
    shown: Any = KIND.display(nodes)
    east, west = shown
    assert east == {
        "name": "east",
        "url": "https://east.example/api/v2",
        "auth": "token",
        "token": "***",
        "skip_tls_verify": True,
        "timeout_seconds": 2.5,
    }
    assert west["password"] == "***"  # noqa: S105 - hidden
    assert "topsecret" not in repr(nodes)
