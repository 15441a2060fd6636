"""What git is given of the server, and which places are repositories."""

from __future__ import annotations

import shlex

import msgspec
import pytest

from dagbook.db.repositories.sources import NewSource
from dagbook.sources.git import Repository, environment_of
from dagbook.sources.places import check_source, kind_of

SERVER = {
    "PATH": "/bin",
    "https_proxy": "http://proxy:3128",
    "DAGBOOK_SECRET_KEY": "x",
    "GIT_DIR": "/elsewhere",
    "GIT_SSH_COMMAND": "evil",
    "AWS_SECRET_ACCESS_KEY": "x",
}
HTTPS = Repository(place="https://host/x.git", branch=None, path="", protocols=("https", "ssh"))


def config_of(environment: dict[str, str]) -> list[tuple[str, str]]:
    numbers = range(int(environment["GIT_CONFIG_COUNT"]))
    return [(environment[f"GIT_CONFIG_KEY_{number}"], environment[f"GIT_CONFIG_VALUE_{number}"]) for number in numbers]


def test_git_gets_no_variable_of_the_server_that_it_does_not_need() -> None:
    environment = environment_of(HTTPS, SERVER)
    assert (environment["PATH"], environment["https_proxy"]) == ("/bin", "http://proxy:3128")
    assert {"DAGBOOK_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "GIT_DIR"}.isdisjoint(environment)
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert environment["GIT_ALLOW_PROTOCOL"] == "https:ssh"
    assert ("core.hooksPath", "/dev/null") in config_of(environment)


def test_credentials_are_a_file_for_a_helper_or_a_key_for_ssh() -> None:
    file = "/etc/a file; with 'quotes'"
    https = environment_of(msgspec.structs.replace(HTTPS, credentials=file), SERVER)
    helpers = [value for key, value in config_of(https) if key == "credential.helper"]
    assert (helpers[0], len(helpers), file in helpers[1]) == ("", 2, False)
    assert https["DAGBOOK_GIT_CREDENTIALS"] == file
    assert "-i" not in shlex.split(https["GIT_SSH_COMMAND"])
    for place in ("git@host:x.git", "ssh://git@host/x.git"):
        ssh = environment_of(msgspec.structs.replace(HTTPS, place=place, credentials=file), SERVER)
        words = shlex.split(ssh["GIT_SSH_COMMAND"])
        assert (words[0], words[words.index("-i") + 1], "BatchMode=yes" in words) == ("ssh", file, True)
        assert "DAGBOOK_GIT_CREDENTIALS" not in ssh


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/srv/dags", "directory"),
        ("/srv/a:b", "directory"),
        ("./dags", "directory"),
        ("~/dags", "directory"),
        ("dags", "directory"),
        ("https://host/x.git", "git"),
        ("file:///srv/x.git", "git"),
        ("git@host:team/x.git", "git"),
        ("host:x.git", "git"),
    ],
)
def test_an_address_is_a_repository_and_a_path_a_directory(place: str, kind: str) -> None:
    assert kind_of(place) == kind


@pytest.mark.parametrize(("path", "normal"), [("", ""), (".", ""), ("dags/", "dags"), ("/a//b/./c", "a/b/c")])
def test_a_subdirectory_is_stored_in_one_form(path: str, normal: str) -> None:
    checked = check_source(NewSource(name="team", kind="", place="git@host:x.git", path=path), ("ssh",))
    assert (checked.path, checked.kind) == (normal, "git")
