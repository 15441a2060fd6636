"""What git is given of the server, which places are repositories, and how links of a commit are followed."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from threading import Event

import msgspec
import pytest

from dagbook.db.repositories.sources import NewSource
from dagbook.sources.git import Checkout, GitTree, Repository, _Entry, environment_of
from dagbook.sources.places import check_source, kind_of
from dagbook.sources.tree import SourceError

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
    helpers = {key: value for key, value in config_of(https) if key.startswith("credential.")}
    assert (helpers.pop("credential.helper"), list(helpers)) == ("", ["credential.https://host.helper"])
    assert file not in helpers["credential.https://host.helper"]
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


def tree_of(links: dict[str, str], files: tuple[str, ...] = ()) -> GitTree:
    """Return a commit that has links, by their paths, and files."""
    entries = {path: _Entry("120000", f"link {path}", len(target)) for path, target in links.items()}
    entries |= {path: _Entry("100644", f"file {path}", 1) for path in files}
    targets = {f"link {path}": target for path, target in links.items()}
    return GitTree(Checkout(HTTPS, Path("unused")), "0" * 40, entries, targets)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("nowhere", "leads nowhere"),
        ("dir", "to a directory"),
        ("dir/deeper", "to a directory"),
        ("di", "leads nowhere"),
        ("dir/a.yam", "leads nowhere"),
        ("dir-", "leads nowhere"),
        (".", "to a directory"),
        ("../x", "out of the source"),
        ("l.yaml", "back to itself"),
        ("dir/a.yaml", None),
    ],
)
def test_a_link_of_a_commit_is_followed_to_files_alone(target: str, problem: str | None) -> None:
    tree = tree_of({"l.yaml": target}, ("dir/a.yaml", "dir/deeper/b.txt", "dir-b/c.txt"))
    found = {file.path: file.problem for file in tree.list_files(Event()).files}["l.yaml"]
    assert (found is None) if problem is None else (found is not None and problem in found.message)


def test_links_that_lead_nowhere_take_linear_time() -> None:
    links = {f"d{number}/l.yaml": f"nowhere{number}" for number in range(10_000)}
    started = time.process_time()
    assert len(tree_of(links).list_files(Event()).files) == len(links)
    assert time.process_time() - started < 2  # 0.1; comparing each with all took 10


def test_a_server_that_stops_ends_the_reading_of_a_commit() -> None:
    closing = Event()
    closing.set()
    with pytest.raises(SourceError, match="the server is stopping"):
        tree_of({"l.yaml": "nowhere"}).list_files(closing)
