"""With which credentials an image is pulled (DAG format 2.15)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dagbook.executors.contract import SetupError
from dagbook.executors.docker import credentials

ANN = {"username": "ann", "password": "a:b"}
ENCODED = base64.b64encode(b"ann:a:b").decode()
IMAGE = "credentials.example:5000/team/tool:2"
HOST = "credentials.example:5000"


@pytest.mark.parametrize(
    ("image", "host"),
    [
        (IMAGE, HOST),
        ("localhost/tool", "localhost"),
        ("ghcr.example/tool@sha256:0", "ghcr.example"),
        ("tool", "docker.io"),
        ("team/tool:2", "docker.io"),
    ],
)
def test_the_host_of_an_image_is_split_from_its_name(image: str, host: str) -> None:
    assert credentials.split_host(image)[0] == host


@pytest.mark.parametrize(
    "entry",
    [ANN, {"auth": ENCODED}, ENCODED, json.dumps(ANN), json.dumps({"auth": ENCODED}), {**ANN, "auth": "ignored"}],
)
def test_every_form_of_an_entry_gives_user_and_password(entry: Any) -> None:
    assert credentials.find(IMAGE, {HOST: entry}, "") == ANN


def test_only_the_exact_host_counts() -> None:
    assert credentials.find(IMAGE, {"credentials.example": ANN}, "") is None


def test_an_identity_token_goes_along() -> None:
    assert credentials.find(IMAGE, {HOST: {"identitytoken": "t"}}, "") == {"identitytoken": "t"}


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v2/"])
def test_one_text_holds_the_credentials_of_all_hosts(key: str) -> None:
    whole = json.dumps({"auths": {"other.example": {"auth": "x"}, key: {"auth": ENCODED}}})
    assert credentials.find(IMAGE, {"_json": whole}, "") == ANN


def test_the_hub_is_found_under_the_address_that_docker_writes() -> None:
    whole = json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": ENCODED}}})
    assert credentials.find("team/tool", {"_json": whole}, "") == ANN


def test_the_environment_answers_where_the_dag_does_not() -> None:
    whole = json.dumps({"auths": {HOST: {"auth": ENCODED}}})
    bob = {"username": "bob", "password": "x"}
    other: credentials.Auths = {"other.example": bob, "_json": json.dumps({"auths": {}})}
    assert credentials.find(IMAGE, other, whole) == ANN


def test_the_dag_answers_before_the_environment() -> None:
    whole = json.dumps({"auths": {HOST: {"username": "bob", "password": "x"}}})
    assert credentials.find(IMAGE, {HOST: ANN}, whole) == ANN


def test_without_credentials_there_are_none() -> None:
    assert credentials.find(IMAGE, {HOST: {}, "_json": " "}, "") is None


@pytest.mark.parametrize(
    ("auths", "environment", "sentence"),
    [
        ({HOST: "ann"}, "", f"registryAuths: {HOST}: is neither JSON nor the base64 form of user:password"),
        ({HOST: {"auth": "YW5u"}}, "", f"registryAuths: {HOST}: is neither JSON nor the base64 form"),
        ({HOST: "{"}, "", f"registryAuths: {HOST}: is not a JSON object with credentials"),
        ({"_json": "[1]"}, "", "registryAuths: is not a JSON object with credentials"),
        ({"_json": '{"auths": 1}'}, "", "registryAuths: auths: expected a map of hosts"),
        ({}, json.dumps({"auths": {HOST: 7}}), f"DOCKER_AUTH_CONFIG: {HOST}: expected a map with username and"),
        ({}, "secret!", "DOCKER_AUTH_CONFIG: is not a JSON object with credentials"),
    ],
)
def test_unreadable_credentials_are_reported_without_their_content(
    auths: dict[str, Any], environment: str, sentence: str
) -> None:
    with pytest.raises(SetupError) as raised:
        credentials.find(IMAGE, auths, environment)
    assert sentence in str(raised.value)
    assert "secret" not in str(raised.value)
