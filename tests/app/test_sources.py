"""Directories and Git repositories as sources of definitions (an extension of the contract)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import random
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from dagbook.auth.roles import Role
from dagbook.db.repositories import dags
from dagbook.db.repositories.dags import DagFilter
from dagbook.main import Server
from dagbook.settings import SettingsError
from dagbook.sources.tree import MAX_FILES
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.git_host import GitHost
from tests.app.people import People, code_of
from tests.app.sources import BROKEN, Repository, Team, good
from tests.executors import ssh_server
from tests.waiting import PATIENCE_SECONDS, wait_until

SECRET = "a secret of 24 characters or more"  # noqa: S105 - of a webhook of a test


@pytest.fixture
def team(client: httpx.AsyncClient, name: str, tmp_path: Path) -> Team:
    return Team(client, name, tmp_path / "dags")


@pytest.fixture
def repository(team: Team) -> Repository:
    return Repository(team.folder)


# -- directories -----------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_the_files_of_a_directory_are_dags_and_each_change_is_a_revision(team: Team) -> None:
    file = team.write("etl/load.yaml", good())
    found = await team.add()
    assert (found["kind"], found["files"], found["broken"], "syncedAt" in found) == ("directory", 1, 0, True)
    assert await team.text(team.dag("etl.load")) == good()
    file.write_text(good("two"))
    await team.sync()
    await team.sync()
    newest, oldest = await team.revisions("etl.load")
    assert (newest["number"], oldest["number"]) == (2, 1)
    assert (newest["author"], "etl/load.yaml" in newest["note"]) == (team.name, True)
    details = await team.get("etl.load")
    assert details["source"] == {"name": team.name, "path": f"{team.name}/etl/load.yaml"}
    listed = (await team.client.get("/dags", params={"name": team.name})).json()["dags"]
    assert [each["source"]["path"] for each in listed] == [f"{team.name}/etl/load.yaml"]


async def test_a_run_works_in_the_directory_of_its_file_with_what_is_beside_it(team: Team) -> None:
    team.write("etl/run.sh", "echo from a script, $WORD")
    team.write("etl/.env", "WORD=from dotenv")
    team.write("etl/schema.json", '{"type": "object", "properties": {"N": {"type": "integer"}}}')
    head = "dotenv: .env\nparams:\n  schema: schema.json\n  values:\n    N: 3\n"
    team.write("etl/load.yaml", f"{head}steps:\n  - name: a\n    command: sh run.sh\n")
    await team.add()
    name = team.dag("etl.load")
    answer = await team.client.post(f"/dags/{name}/start", json={})
    assert answer.status_code == 200, answer.text
    ended = await Dagbook(team.client, name).finished(answer.json()["dagRunId"])
    assert (ended.status, await ended.log("a")) == ("succeeded", "from a script, from dotenv")


@pytest.mark.both_engines
async def test_a_broken_file_keeps_the_last_good_revision_and_shows_its_problem(team: Team) -> None:
    file = team.write("a.yaml", good())
    team.write("b.yaml", good())
    await team.add()
    file.write_text(BROKEN)
    team.write("b.yaml", good("two"))
    found = await team.sync()
    assert (found["files"], found["broken"], "problem" in found) == (2, 1, False)
    details = await team.get("a")
    (problem,) = details["source"]["problems"]
    assert (problem["line"], "comand" in problem["message"], details["suspended"]) == (3, True, False)
    assert (await team.text(team.dag("a")), await team.text(team.dag("b"))) == (good(), good("two"))
    assert list(await team.problems()) == ["a.yaml"]
    file.write_text(good("three"))
    await team.sync()
    assert "problems" not in (await team.get("a"))["source"]
    assert await team.text(team.dag("a")) == good("three")
    assert await team.problems() == {}


@pytest.mark.both_engines
async def test_a_removed_file_suspends_its_dag_until_it_is_back(team: Team) -> None:
    file = team.write("a.yaml", good())
    await team.add()
    file.unlink()
    found = await team.sync()
    assert (found["files"], found["removed"]) == (0, 1)
    details = await team.get("a")
    assert (details["suspended"], "removedAt" in details["source"]) == (True, True)
    file.write_text(good())
    await team.sync()
    details = await team.get("a")
    assert (details["suspended"], "removedAt" in details["source"]) == (False, False)
    assert len(await team.revisions("a")) == 1


async def test_a_dag_that_was_suspended_before_its_file_was_removed_stays_so(team: Team) -> None:
    file = team.write("a.yaml", good())
    await team.add()
    assert (await team.client.post(f"/dags/{team.dag('a')}/suspend", json={"suspend": True})).status_code == 200
    file.unlink()
    await team.sync()
    file.write_text(good("two"))
    await team.sync()
    assert (await team.get("a"))["suspended"]


async def test_the_dag_of_a_removed_file_can_be_deleted(team: Team) -> None:
    file = team.write("a.yaml", good())
    await team.add()
    assert (await team.client.delete(f"/dags/{team.dag('a')}")).status_code == 403
    file.unlink()
    await team.sync()
    assert (await team.client.delete(f"/dags/{team.dag('a')}")).status_code == 204
    assert (await team.sync())["removed"] == 0
    file.write_text(good())
    await team.sync()
    assert await team.text(team.dag("a")) == good()


@pytest.mark.both_engines
async def test_a_dag_of_a_source_is_changed_in_the_source_only(team: Team) -> None:
    file = team.write("a.yaml", good())
    await team.add()
    file.write_text(good("two"))
    await team.sync()
    path = f"/dags/{team.dag('a')}"
    for method, tail, body in (
        ("PUT", "/spec", {"spec": good("mine")}),
        ("POST", "/rename", {"newFileName": f"{team.name}-b"}),
        ("POST", "/revisions/1/restore", {}),
        ("DELETE", "", None),
    ):
        answer = await team.client.request(method, path + tail, json=body)
        assert code_of(answer) == (403, "forbidden"), (method, tail)
        assert answer.json()["details"] == {
            "source": team.name,
            "path": f"{team.name}/a.yaml",
            "link": f"/sources/{team.name}",
        }
    assert await team.text(team.dag("a")) == good("two")
    assert (await team.client.post(f"{path}/suspend", json={"suspend": True})).status_code == 200
    assert (await team.client.put(f"{path}/settings", json={"catchup": "all"})).status_code == 200


async def test_without_its_source_a_dag_stays_and_can_be_changed(team: Team) -> None:
    team.write("a.yaml", good())
    await team.add()
    assert (await team.client.delete(f"/sources/{team.name}")).status_code == 204
    assert (await team.client.get(f"/sources/{team.name}")).status_code == 404
    assert "source" not in await team.get("a")
    answer = await team.client.put(f"/dags/{team.dag('a')}/spec", json={"spec": good("mine")})
    assert (answer.status_code, answer.json()["errors"]) == (200, [])


@pytest.mark.both_engines
async def test_a_stored_dag_is_taken_over_by_adopt_or_if_it_is_equal(team: Team) -> None:
    texts = {"own": good("own"), "same": good("same")}
    for name, text in texts.items():
        answer = await team.client.post("/dags", json={"name": team.dag(name), "spec": text})
        assert answer.status_code == 201
    team.write("own.yaml", good("file"))
    team.write("same.yaml", good("same"))
    await team.add()
    assert "exists already" in (await team.problems())["own.yaml"][0][1]
    assert await team.text(team.dag("own")) == good("own")
    assert ((await team.get("same"))["source"]["name"], len(await team.revisions("same"))) == (team.name, 1)
    assert (await team.client.delete(f"/sources/{team.name}")).status_code == 204
    await team.add(adopt=True)
    assert (await team.problems(), await team.text(team.dag("own"))) == ({}, good("file"))
    assert len(await team.revisions("own")) == 2


async def test_bad_files_are_problems_and_the_rest_goes_on(team: Team) -> None:
    team.write("good.yaml", good())
    team.write("binary.yaml", b"steps:\n\x00\x01")
    team.write("latin.yaml", "# ü\nsteps: []\n".encode("latin-1"))
    team.write("half.yaml", "steps:\n  - name: a\n    command: [ls\n")
    team.write("empty.yaml", "")
    team.write("large.yaml", "#" * (1024 * 1024 + 1))
    team.write("x" * 41 + ".yaml", good())
    team.write("two/words.yaml", good())
    team.write("two.words.yml", good())
    team.write(".hidden/a.yaml", "nothing")
    team.write("README.md", "nothing")
    own = team.folder / team.name
    (own / "loop").symlink_to(".")
    (own / "self.yaml").symlink_to("self.yaml")
    (own / "out.yaml").symlink_to("/etc/passwd")
    (own / "link.yaml").symlink_to("good.yaml")
    os.mkfifo(own / "pipe.yaml")
    found = await team.add()
    problems = {path: found[0] for path, found in (await team.problems()).items()}
    messages = {
        "binary.yaml": (2, "NUL"),
        "latin.yaml": (1, "UTF-8"),
        "half.yaml": (4, ""),
        "empty.yaml": (0, "no definition"),
        "large.yaml": (0, "1024 KiB"),
        "x" * 41 + ".yaml": (0, "40 are the most"),
        "two/words.yaml": (0, "exists already"),
        "loop": (0, "link to a directory"),
        "self.yaml": (0, "back to itself"),
        "out.yaml": (0, "out of the source"),
        "pipe.yaml": (0, "no file"),
    }
    assert {path: line for path, (line, _) in problems.items()} == {path: line for path, (line, _) in messages.items()}
    assert [path for path, (_, word) in messages.items() if word not in problems[path][1]] == []
    assert set(await team.texts()) == {team.dag("good"), team.dag("link"), team.dag("two.words")}
    assert (found["files"], found["broken"]) == (14, 11)


@pytest.mark.both_engines
async def test_a_directory_that_is_gone_suspends_nothing(team: Team) -> None:
    team.write("a.yaml", good())
    await team.add()
    shutil.move(team.folder, team.folder.with_name("away"))
    found = await team.sync()
    assert ("does not exist" in found["problem"], "problemAt" in found, found["files"]) == (True, True, 1)
    assert not (await team.get("a"))["suspended"]
    answer = await team.client.post(f"/dags/{team.dag('a')}/start", json={})  # as on a worker without the files
    ended = await Dagbook(team.client, team.dag("a")).finished(answer.json()["dagRunId"])
    reason = f"the directory of the DAG's file, {team.folder / team.name}, is not on this machine"
    log = (await team.client.get(f"{ended.path}/log")).json()["content"]
    assert (ended.status, reason in log) == ("failed", True), log
    shutil.move(team.folder.with_name("away"), team.folder)
    assert "problem" not in await team.sync()


async def test_a_change_of_a_watched_directory_is_seen_without_a_request(team: Team) -> None:
    file = team.write("a.yaml", good())
    await team.add()
    file.write_text(good("two"))

    async def look() -> bool:
        return await team.text(team.dag("a")) == good("two")

    await wait_until(look)


# -- writing back ----------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_a_save_writes_the_file_of_a_writable_directory(team: Team) -> None:
    file = team.write("a.yaml", good())
    file.chmod(0o640)
    await team.add(writable=True)
    path = f"/dags/{team.dag('a')}/spec"
    assert (await team.client.put(path, json={"spec": BROKEN})).json()["errors"]
    assert file.read_text() == good()
    answer = await team.client.put(path, json={"spec": good("mine"), "note": "by hand"})
    assert (answer.status_code, answer.json()["errors"]) == (200, [])
    assert (file.read_text(), file.stat().st_mode & 0o777) == (good("mine"), 0o640)
    await team.sync()
    newest, _ = await team.revisions("a")
    assert (newest["number"], newest["note"], await team.problems()) == (2, "by hand", {})


async def test_a_save_does_not_overwrite_a_file_that_was_changed(team: Team) -> None:
    file = team.write("a.yaml", good())
    await team.add(writable=True)
    file.write_text(BROKEN)
    await team.sync()
    file.write_text(good("theirs"))
    answer = await team.client.put(f"/dags/{team.dag('a')}/spec", json={"spec": good("mine")})
    if answer.status_code == 200:  # the watched change was read before the request came
        assert len(await team.revisions("a")) == 3
        return
    assert code_of(answer) == (412, "already_exists")
    assert file.read_text() == good("theirs")


# -- repositories ----------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_a_commit_is_a_revision_with_its_author_message_and_id(team: Team, repository: Repository) -> None:
    team.write("a.yaml", good())
    first = repository.commit("Add a")
    found = await team.add(repository.place, branch="main")
    assert (found["kind"], found["commit"], found["branch"]) == ("git", first, "main")
    team.write("a.yaml", good("two"))
    second = repository.commit("Change a\n\nbecause", author="Zoë")
    team.write("b.yaml", good())
    third = repository.commit("Add b")
    assert (await team.sync())["commit"] == third
    newest, oldest = await team.revisions("a")
    assert (newest["author"], newest["note"], newest["commit"]) == ("Zoë", "Change a\n\nbecause", second)
    assert (oldest["note"], (await team.revisions("b"))[0]["commit"]) == ("Add a", third)
    assert (await team.get("a"))["source"]["commit"] == second


async def test_a_run_works_in_the_checkout_of_the_repository(team: Team, repository: Repository) -> None:
    team.write("run.sh", "echo from a script")
    team.write("a.yaml", "steps:\n  - name: a\n    command: sh run.sh; echo x > left.yaml\n")
    repository.commit("Add a")
    await team.add(repository.place)
    name = team.dag("a")
    answer = await team.client.post(f"/dags/{name}/start", json={})
    ended = await Dagbook(team.client, name).finished(answer.json()["dagRunId"])
    assert (ended.status, await ended.log("a")) == ("succeeded", "from a script")
    assert (await team.sync())["files"] == 1  # what runs leave in the checkout is no definition


async def test_a_branch_that_was_rewritten_and_a_subdirectory(team: Team, repository: Repository) -> None:
    team.write("a.yaml", good())
    repository.commit("Add a")
    (repository.folder / "other.yaml").write_text(good())
    repository.commit("Add other")
    await team.add(repository.place, path=team.name)
    assert set(await team.texts()) == {"a"}
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    team.write("a.yaml", good("rewritten"))
    commit = repository.commit("Rewrite", author="Eve")
    assert (await team.sync())["commit"] == commit
    assert await team.text("a") == good("rewritten")
    assert (await team.client.delete(f"/sources/{team.name}")).status_code == 204
    assert (await team.client.delete("/dags/a")).status_code == 204


@pytest.mark.both_engines
async def test_a_repository_that_is_gone_or_lacks_the_branch_is_a_problem_and_changes_nothing(
    team: Team, repository: Repository
) -> None:
    team.write("a.yaml", good())
    repository.commit("Add a")
    await team.add(repository.place, branch="main")
    shutil.move(repository.folder, repository.folder.with_name("away"))
    assert "could not be fetched" in (await team.sync())["problem"]
    shutil.move(repository.folder.with_name("away"), repository.folder)
    repository.git("branch", "--move", "main", "trunk")
    assert "has no branch main" in (await team.sync())["problem"]
    assert not (await team.get("a"))["suspended"]
    repository.git("branch", "--move", "trunk", "main")
    assert "problem" not in await team.sync()


async def test_a_host_of_ssh_that_this_account_does_not_know_is_a_problem_with_the_remedy(
    team: Team, tmp_path: Path
) -> None:
    async with ssh_server.serving(tmp_path) as host:
        place = f"ssh://{ssh_server.USER}@127.0.0.1:{host.port}/dags.git"
        await team.add(place, credentials=str(host.key))
        assert "add the key of its host to known_hosts" in (await team.sync())["problem"]


async def test_links_and_binaries_in_a_commit_are_problems(team: Team, repository: Repository) -> None:
    team.write("good.yaml", good())
    team.write("binary.yaml", b"\x00")
    own = team.folder / team.name
    for name, target in (("up", "../.."), ("here", "."), ("x.yaml", "y.yaml"), ("y.yaml", "x.yaml")):
        (own / name).symlink_to(target)
    (own / "link.yaml").symlink_to("good.yaml")
    (own / "out.yaml").symlink_to("/etc/passwd")
    repository.commit("All of them")
    await team.add(repository.place)
    assert set(await team.problems()) == {"binary.yaml", "up", "here", "x.yaml", "y.yaml", "out.yaml"}
    assert set(await team.texts()) == {team.dag("good"), team.dag("link")}


async def test_credentials_are_read_from_a_file_and_nobody_is_asked_for_them(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository = Repository(tmp_path / "dags")
    (repository.folder / "a.yaml").write_text(good())
    repository.commit("Add a")
    credentials = tmp_path / "credentials"
    with GitHost(tmp_path, "ann", "a password for git").serving() as host:
        async with (
            serving(database_url, tmp_path / "home", source_protocols="http") as server,
            client_of(server) as client,
        ):
            team = Team(client, "private", tmp_path / "unused")
            place = f"{host.url}/dags/.git"
            found = await team.add(place)
            assert ("could not be fetched" in found["problem"], host.refused > 0) == (True, True)
            assert (await client.delete("/sources/private")).status_code == 204
            credentials.write_text("username=ann\npassword=wrong\n")
            assert "could not be fetched" in (await team.add(place, credentials=str(credentials)))["problem"]
            assert credentials.read_text() == "username=ann\npassword=wrong\n"  # git erases wrong ones elsewhere
            credentials.write_text("username=ann\npassword=a password for git\n")
            found = await team.sync()
            assert ("problem" in found, found["files"]) == (False, 1)
            answer = await client.post("/sources", json={"name": "x", "place": repository.place})
            assert (answer.status_code, "not allowed" in answer.json()["message"]) == (400, True)
            seen = str((await client.get("/audit")).json()) + str(await team.details()) + caplog.text
    assert "a password for git" not in seen


# -- requests --------------------------------------------------------------------------------------------------------


def signature(secret: str, body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={hmac.digest(secret.encode(), body, hashlib.sha256).hex()}"}


@pytest.mark.both_engines
async def test_a_git_host_starts_a_fetch_by_a_signed_request_and_anybody_else_does_not(
    people: People, name: str, tmp_path: Path
) -> None:
    admin, body = await people.add(Role.ADMIN), b'{"ref": "refs/heads/main"}'
    async with people.client(admin.token) as client, people.client() as host:
        team = Team(client, name, tmp_path / "dags")
        repository = Repository(team.folder)
        file = team.write("a.yaml", good())
        repository.commit("one")
        found = await team.add(repository.place, hookSecret=SECRET)
        assert (found["hasHookSecret"], SECRET in str(found)) == (True, False)
        path = f"/sources/{name}/fetch"
        wrong = [signature("another", body), signature(SECRET, b"{}"), {"X-Hub-Signature-256": ""}]
        assert code_of(await host.post(path, content=body)) == (401, "unauthorized")
        others = [(f"/sources/{other}/fetch", signature("", body)) for other in ("unknown", "no%00name")]
        tried = [*((path, headers) for headers in wrong), *others]
        refused = [await host.post(tried_path, content=body, headers=headers) for tried_path, headers in tried]
        assert {(answer.status_code, answer.content) for answer in refused} == {(401, refused[0].content)}
        file.write_text(good("two"))
        repository.commit("two")
        for _ in range(20):  # it and its repetitions
            answer = await host.post(path, content=body, headers=signature(SECRET, body))
            assert (answer.status_code, answer.json()) == (202, {"name": name})

        async def look() -> list[dict[str, str]]:
            answer = await client.get("/audit", params={"action": "source.fetch", "object": name})
            entries: list[dict[str, str]] = answer.json()["entries"]
            return entries

        await wait_until(look)
        assert await team.text(team.dag("a")) == good("two")
        for _ in range(2):  # each is a sync of its own, after those that were asked for before
            await team.sync()
        assert [(entry["via"], entry["actor"]) for entry in await look()] == [("hook", name)]


async def test_wrong_signatures_delay_further_ones_and_a_right_one_is_always_taken(team: Team) -> None:
    await team.add(hookSecret=SECRET)
    body, path = b"{}", f"/sources/{team.name}/fetch"
    for source in (path, f"/sources/{team.name}.unknown/fetch"):
        wrong = [await team.client.post(source, content=body, headers=signature(f"{n}", body)) for n in range(8)]
        assert [answer.status_code for answer in wrong] == [401] * 5 + [429] * 3
        assert 0 < int(wrong[-1].headers["Retry-After"]) <= 15
    right = await team.client.post(path, content=body, headers=signature(SECRET, body))
    assert right.status_code == 202


async def test_the_body_of_a_webhook_may_be_larger_than_others_since_nothing_of_it_is_kept(
    people: People, team: Team
) -> None:
    await team.add(hookSecret=SECRET)
    body, path = b" " * (5 << 20), f"/sources/{team.name}/fetch"
    async with people.client() as host:
        answer = await team.client.post(path, content=body, headers=signature(SECRET, body))
        assert answer.status_code == 202
        for source in (path, "/sources/unknown/fetch"):
            answer = await host.post(source, content=b" " * (26 << 20), headers=signature("", b""))
            assert code_of(answer) == (413, "bad_request")
            assert "26214400 bytes" in answer.json()["message"]


async def test_a_source_without_a_secret_accepts_no_signature(team: Team) -> None:
    await team.add()
    answer = await team.client.post(f"/sources/{team.name}/fetch", content=b"{}", headers=signature("", b"{}"))
    assert code_of(answer) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "../x", "place": "/srv"}, "name"),
        ({"name": "", "place": "/srv"}, "name"),
        ({"name": "x", "place": "dags"}, "place"),
        ({"name": "x", "place": ""}, "place"),
        ({"name": "x", "place": "https://ann:secret@host/x.git"}, "place"),
        ({"name": "x", "place": "https://token@host/x.git"}, "place"),
        ({"name": "x", "place": "https://host/x.git?access_token=1"}, "place"),
        ({"name": "x", "place": "ext::sh -c date"}, "place"),
        ({"name": "x", "place": "ext::sh"}, "place"),
        ({"name": "x", "place": "http://host/x.git"}, "place"),
        ({"name": "x", "place": "-oProxyCommand=x:y"}, "place"),
        ({"name": "x", "place": "file:///x", "branch": "--upload-pack=x"}, "branch"),
        ({"name": "x", "place": "file:///x", "branch": "a..b"}, "branch"),
        ({"name": "x", "place": "file:///x", "path": "../y"}, "path"),
        ({"name": "x", "place": "file:///x", "writable": True}, "writable"),
        ({"name": "x", "place": "file:///x", "credentials": "key"}, "credentials"),
        ({"name": "x", "place": "/srv", "branch": "main"}, "branch"),
        ({"name": "x", "place": "/srv", "hookSecret": "x" * 23}, "hookSecret"),
        ({"name": "x", "place": "/srv", "hookSecret": "x" * 501}, "hookSecret"),
        ({"place": "/srv"}, "name"),
        ({"name": "x", "place": 5}, "place"),
    ],
)
async def test_a_bad_source_is_refused_by_its_field(
    client: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await client.post("/sources", json=body)
    assert code_of(answer) == (400, "bad_request")
    assert answer.json()["message"].startswith(f"{field}:"), answer.text
    assert "secret" not in answer.json()["message"]


async def test_a_name_that_is_taken_or_unknown(team: Team) -> None:
    await team.add()
    answer = await team.client.post("/sources", json={"name": team.name, "place": "/srv"})
    assert code_of(answer) == (409, "already_exists")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/sync"), ("POST", "/fetch")):
        assert code_of(await team.client.request(method, f"/sources/unknown{path}")) == (404, "not_found")


# -- the setting -----------------------------------------------------------------------------------------------------


async def test_a_sync_that_ends_with_its_server_while_it_reads_its_source_ends_without_an_error(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = asyncio.Event()

    class Stuck:  # a real read ends too soon to stop a server in the middle of it
        async def read_inline(self, _: object) -> None:
            reads.set()
            await asyncio.Event().wait()

    async with serving(database_url, tmp_path / "home") as server:
        monkeypatch.setattr(server.services.dags.sources, "_database", Stuck())
        syncing = asyncio.create_task(server.services.dags.sources.sync("one"))
        await asyncio.wait_for(reads.wait(), PATIENCE_SECONDS)
        await server.services.dags.sources.close()
        await syncing
        monkeypatch.undo()


async def test_a_short_secret_in_the_setting_is_refused_with_its_source_and_the_fix(
    database_url: str, tmp_path: Path
) -> None:
    short = json.dumps([{"name": "one", "place": str(tmp_path), "hook_secret": "x" * 23}])
    with pytest.raises(SettingsError, match=r"one: hook_secret: must have 24 to 500 .*openssl rand -hex 16"):
        async with serving(database_url, tmp_path / "home", sources=short):
            raise AssertionError


async def test_the_setting_makes_sources_and_takes_them_away(database_url: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yaml").write_text(good())
    of_setting = [{"name": name, "place": str(tmp_path / name), "hook_secret": SECRET} for name in ("one", "two")]
    added = {"name": "three", "place": str(tmp_path)}

    async def names(**settings: str) -> dict[str, bool]:
        async with serving(database_url, tmp_path / "home", **settings) as server, client_of(server) as client:
            await client.post("/sources", json=added)
            answer = await client.delete("/sources/one")
            assert answer.status_code in (400, 404)
            found = (await client.get("/sources")).json()["sources"]
            for source in found:
                await Team(client, source["name"], tmp_path / "unused").sync()
            return {source["name"]: source["configured"] for source in found}

    both = json.dumps(of_setting)
    assert await names(sources=both) == {"one": True, "two": True, "three": False}
    assert await names(sources=both) == {"one": True, "two": True, "three": False}
    moved = json.dumps([{**of_setting[1], "place": str(tmp_path / "one")}])
    assert await names(sources=moved) == {"two": True, "three": False}
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        entries = (await client.get("/audit", params={"action": "source."})).json()["entries"]
        done = [(entry["action"], entry["object"]) for entry in reversed(entries) if entry["via"] == "settings"]
        assert done == [
            ("source.create", "one"),
            ("source.create", "two"),
            ("source.delete", "one"),
            ("source.update", "two"),
        ]
        assert "a secret" not in str(entries)


async def test_a_source_in_the_setting_that_cannot_be_one_stops_the_server(database_url: str, tmp_path: Path) -> None:
    bad = json.dumps([{"name": "x", "place": "https://ann:pass@host/x.git"}])
    with pytest.raises(SettingsError, match=r"sources .*x: place: must contain no user"):
        async with serving(database_url, tmp_path / "home", sources=bad):
            pass


# -- many files ------------------------------------------------------------------------------------------------------


async def test_more_files_than_a_source_may_have_are_a_problem_and_change_nothing(team: Team) -> None:
    team.write("a.yaml", good())
    await team.add()
    for number in range(MAX_FILES):
        team.write(f"m{number}.yaml", "")
    found = await team.sync()
    assert ("more than 10,000" in found["problem"], found["files"]) == (True, 1)
    assert not (await team.get("a"))["suspended"]


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("copies", ["sqlite"], indirect=True)
async def test_as_many_files_as_a_source_may_have_are_synced(server: Server, team: Team) -> None:
    for number in range(MAX_FILES):
        team.write(f"{number}.yaml", good(str(number)))
    answer = await team.client.post("/sources", json={"name": team.name, "place": str(team.folder)})
    assert answer.status_code == 201
    await server.services.dags.sources.sync(team.name)
    found = await team.details(perPage=1)
    assert (found["files"], found["broken"], "problem" in found) == (MAX_FILES, 0, False)
    assert await team.text(team.dag("9999")) == good("9999")
    assert (await team.client.delete(f"/sources/{team.name}")).status_code == 204


@pytest.mark.full
@pytest.mark.both_engines
@pytest.mark.timeout(600)
async def test_a_directory_under_git_pull_is_followed_while_runs_and_saves_go_on(
    server: Server, team: Team, tmp_path: Path
) -> None:
    origin, changes = Repository(tmp_path / "origin"), random.Random(7)  # noqa: S311 - a choice of files
    own, runs = f"{team.name}-own", f"{team.name}-runs"
    for name, text in ((own, good()), (runs, f"maxActiveRuns: 100\n{good()}")):
        assert (await team.client.post("/dags", json={"name": name, "spec": text})).status_code == 201
    wanted = {f"{team.name}.d{number}": good(str(number)) for number in range(500)}
    _write_all(origin.folder, wanted)
    origin.commit("Add 500")
    shutil.rmtree(team.folder)
    origin.git("clone", "--quiet", str(origin.folder), str(team.folder))
    clone = Repository(team.folder)
    await team.add()
    stop, started, saved = asyncio.Event(), [0], [1]

    async def start_runs() -> None:
        while not stop.is_set():
            assert (await team.client.post(f"/dags/{runs}/start", json={})).status_code == 200
            started[0] += 1
            await _pause(stop, 0.2)

    async def save() -> None:
        while not stop.is_set():
            answer = await team.client.put(f"/dags/{own}/spec", json={"spec": good(str(saved[0]))})
            assert (answer.status_code, answer.json()["errors"]) == (200, [])
            saved[0] += 1
            await _pause(stop, 0.1)

    others = [asyncio.create_task(work()) for work in (start_runs, save)]
    for commit in range(50):
        removed = changes.sample(sorted(wanted), 3)
        for name in removed:
            del wanted[name]
            (origin.folder / _path_of(name)).unlink()
        changed = {name: good(f"{name} {commit}") for name in changes.sample(sorted(wanted), 10)}
        changed |= {f"{team.name}.new{commit}-{number}": good(str(number)) for number in range(3)}
        wanted |= changed
        _write_all(origin.folder, changed)
        origin.commit(f"Commit {commit}")
        clone.git("pull", "--quiet", "--ff-only")
        await team.sync()
        rows = await server.services.runs.database.read(
            lambda connection: dags.find_page(
                connection, DagFilter(name_part=f"{team.name}."), descending=False, offset=0, limit=2000
            )
        )
        assert {row.file_name: row.spec for row in rows if not row.suspended} == wanted, commit
        assert {row.file_name for row in rows if row.suspended}.isdisjoint(wanted), commit
    stop.set()
    await asyncio.gather(*others)
    found = (await team.client.get(f"/dags/{own}/revisions")).json()["pagination"]
    assert (found["totalRecords"], started[0] > 20) == (saved[0], True)


def _path_of(name: str) -> str:
    folder, _, rest = name.partition(".")
    return f"{folder}/{rest}.yaml"


def _write_all(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = folder / _path_of(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
