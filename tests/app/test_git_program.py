"""How the program git is run."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from pathlib import Path

import pytest
import uvloop

from dagbook.sources import git
from dagbook.sources.git import Checkout, Repository, _communicate, environment_of
from dagbook.sources.tree import SourceError
from tests.app import sources
from tests.app.git_host import RedirectingHost
from tests.waiting import wait_until


async def _talk_to_a_program_that_has_ended() -> tuple[bytes, bytes]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("echo", "one", stdin=pipe, stdout=pipe, stderr=pipe)
    stdin = process.stdin
    assert stdin is not None

    async def is_closed() -> bool:
        return stdin.is_closing()

    await wait_until(is_closed)
    return await _communicate(process, b"ids of files")


def test_a_program_that_has_ended_before_it_is_written_to_gives_its_output() -> None:
    """The server runs on uvloop, which has closed the pipe by then."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_talk_to_a_program_that_has_ended()) == (b"one\n", b"")


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    file = tmp_path / "credentials"
    file.write_text("username=bot\npassword=ghp_TOKEN\n")
    return str(file)


async def test_a_redirect_of_a_git_host_gets_neither_requests_nor_credentials(tmp_path: Path, credentials: str) -> None:
    with RedirectingHost().serving() as other, RedirectingHost(f"http://localhost:{other.port}").serving() as host:
        place = f"{host.url}/team/dags.git"
        source = Repository(place=place, branch=None, path="", protocols=("http",), credentials=credentials)
        with pytest.raises(SourceError, match="it redirects, which is not followed"):
            await Checkout(source, tmp_path / "checkout").update()
    assert (len(host.seen), other.seen) == (1, [])


@pytest.mark.parametrize(
    ("asked", "is_given"),
    [
        (("https", "git.example.org"), True),
        (("https", "git.example.org:8443"), False),
        (("http", "git.example.org"), False),
        (("https", "evil.example.org"), False),
        (("https", "example.org"), False),
        (("https", "git.example.org.evil.test"), False),
    ],
)
def test_credentials_are_those_of_protocol_host_and_port_of_the_source(
    credentials: str, asked: tuple[str, str], is_given: bool
) -> None:
    place = "https://git.example.org/team/dags.git"
    source = Repository(place=place, branch=None, path="", protocols=("https", "http"), credentials=credentials)
    done = subprocess.run(
        ["git", "credential", "fill"],
        env=environment_of(source, os.environ),
        input=f"protocol={asked[0]}\nhost={asked[1]}\npath=team/dags.git\n\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("ghp_TOKEN" in done.stdout, done.returncode == 0) == (is_given, is_given)


@pytest.fixture
def origin(tmp_path: Path) -> sources.Repository:
    return sources.Repository(tmp_path / "origin")


def checkout_of(origin: sources.Repository) -> Checkout:
    source = Repository(place=origin.place, branch=None, path="", protocols=("file",))
    return Checkout(source, origin.folder.with_name("checkout"))


@pytest.mark.parametrize("files", [1, 200])  # git writes few objects one by one, and many into one file
async def test_a_fetch_that_is_too_large_is_stopped(
    origin: sources.Repository, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(7)  # noqa: S311 - bytes that cannot be compressed
    for number in range(files):
        (origin.folder / f"{number}").write_bytes(data.randbytes(3 * 2**20 // files))
    origin.commit("Add a large file")
    monkeypatch.setattr(git, "_MAX_BYTES", 2**20)
    with pytest.raises(SourceError, match=r"git fetch stopped .*a file would be larger than 1 MiB"):
        await checkout_of(origin).update()


async def test_a_small_commit_that_would_fill_the_disk_is_not_checked_out(
    origin: sources.Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (origin.folder / f"{number}").write_bytes(bytes(50 * 1024))
    commit = origin.commit("Add the same file many times")
    monkeypatch.setattr(git, "_MAX_BYTES", 2**20)
    checkout = checkout_of(origin)
    with pytest.raises(SourceError, match=f"the commit {commit[:12]} are larger than 1 MiB together"):
        await checkout.update()
    assert not (origin.folder.with_name("checkout") / "0").exists()


async def test_more_links_than_a_source_may_have_are_refused(
    origin: sources.Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (origin.folder / f"{name}.yaml").symlink_to("nowhere")
    commit = origin.commit("Add links")
    checkout = checkout_of(origin)
    await checkout.update()
    monkeypatch.setattr(git, "_MAX_LINKS", 2)
    with pytest.raises(SourceError, match="more than 2 links; choose a subdirectory"):
        await checkout.read_tree(commit)
