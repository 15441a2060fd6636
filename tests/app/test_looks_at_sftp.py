"""A file that arrives on a server of SFTP starts a run, once; who answers there has to be known."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.app.look_scene import LookScene, look_scene
from tests.executors.ssh_server import PASSWORD, USER, SshServer, serving


class Vendor:
    """A server whose files are those of the scene's inbox."""

    def __init__(self, scene: LookScene, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        self.host_keys = [asyncssh.generate_private_key("ssh-ed25519")]
        self.server: SshServer | None = None
        self.port = 0

    @asynccontextmanager
    async def open(
        self, host_key: asyncssh.SSHKey | None = None, make: type[asyncssh.SFTPServer] = asyncssh.SFTPServer
    ) -> AsyncIterator[SshServer]:
        root = os.fsencode(self.folder)

        def sftp(channel: Any) -> asyncssh.SFTPServer:
            return make(channel, chroot=root)

        keys = [host_key] if host_key else self.host_keys
        known = self.folder / "known_hosts"
        before = known.read_text() if known.exists() else None
        async with serving(self.folder, self.port, keys, sftp) as server:
            if before is not None:
                known.write_text(before)  # what the client knows stays
            self.port = server.port
            yield server

    async def watch(self, secret: str, **body: Any) -> Any:
        url = f"sftp://{USER}@127.0.0.1:{self.port}/inbox/*"
        return await self.scene.watch("vendor", "sftp", settings={"url": url}, secret=secret, **body)

    async def problem(self) -> str:
        for _ in range(3):
            await self.scene.watcher.look(after=61)
        return str((await self.scene.ok("GET", "/triggers/vendor")).get("problem"))


@pytest.fixture
async def vendor(database_url: str, tmp_path: Path) -> AsyncIterator[Vendor]:
    known = str(tmp_path / "known_hosts")
    async with look_scene(database_url, tmp_path, ssh_known_hosts=known) as scene:
        yield Vendor(scene, tmp_path)


async def test_a_new_changed_or_put_back_file_is_a_run_each_time(vendor: Vendor) -> None:
    scene = vendor.scene
    scene.file("a", at=5)
    async with vendor.open() as server:
        added = await vendor.watch(server.key.read_text())
        assert (added["items"], "PRIVATE KEY" in str(added)) == (1, False)
        part = scene.file("b.filepart", at=5)
        (scene.inbox / "link").symlink_to("a")
        (scene.inbox / "directory").mkdir()
        assert await scene.rest("vendor") == []
        part.rename(scene.inbox / "b")
        assert await scene.rest("vendor") == ["b"]
        scene.file("b", "changed", at=6)
        assert await scene.rest("vendor") == ["b", "b"]
        (scene.inbox / "b").unlink()
        await scene.rest("vendor")
        scene.file("b", "changed", at=6)
        assert await scene.rest("vendor") == ["b", "b", "b"]
        event = (await scene.until_settled("vendor"))[0]
        run = await scene.finished(event, "load")
        assert (run.details["trigger"], await run.log("show")) == ("sftp", "/inbox/b")


async def test_a_password_logs_in_and_a_wrong_one_is_refused_when_the_trigger_is_added(vendor: Vendor) -> None:
    async with vendor.open():
        await vendor.watch(PASSWORD)
        await vendor.scene.ok("DELETE", "/triggers/vendor")
        settings = {"url": f"sftp://{USER}@127.0.0.1:{vendor.port}/inbox/*"}
        body = {"name": "x", "dag": "load", "kind": "sftp", "secret": "wrong", "settings": settings}
        refused = await vendor.scene.client.post("/triggers", json=body)
        assert (refused.status_code, "the password is not accepted there" in refused.text) == (400, True)
        missing = await vendor.scene.client.post("/triggers", json=body | {"secret": None})
        assert (missing.status_code, "secret: is missing" in missing.text) == (400, True)


async def test_a_server_with_another_host_key_is_a_problem_and_gets_no_password(vendor: Vendor) -> None:
    async with vendor.open():
        await vendor.watch(PASSWORD)
    async with vendor.open(asyncssh.generate_private_key("ssh-ed25519")) as impostor:
        assert "the host key of 127.0.0.1" in await vendor.problem()
        assert impostor.passwords == []


async def test_while_a_server_is_off_there_is_a_problem_and_nothing_is_lost(vendor: Vendor) -> None:
    scene = vendor.scene
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(vendor.open())
        await vendor.watch(PASSWORD)
    scene.file("a")
    assert "refused the connection" in await vendor.problem()
    async with vendor.open():
        assert await scene.rest("vendor") == ["a"]
        assert "problem" not in await scene.ok("GET", "/triggers/vendor")


class _Endless(asyncssh.SFTPServer):
    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:  # noqa: ARG002 - the library's signature
        number = 0
        while True:
            yield asyncssh.SFTPName(b"file%d" % number, b"", asyncssh.SFTPAttrs(size=1, mtime=1, permissions=0o100644))
            number += 1


async def test_an_endless_listing_is_read_no_further_than_it_may_be(vendor: Vendor) -> None:
    async with vendor.open():
        await vendor.watch(PASSWORD)
    async with vendor.open(make=_Endless):
        assert await vendor.problem() == "/inbox has more than 10,000 names; look at a directory with less"


async def test_a_directory_that_the_server_does_not_have_is_a_problem(vendor: Vendor) -> None:
    async with vendor.open():
        await vendor.watch(PASSWORD)
        vendor.scene.inbox.rmdir()
        assert "/inbox of 127.0.0.1" in await vendor.problem()
