"""Names and paths of attackers in every field of every route: no file but the server's own is touched (promises S2).

The kernel is asked (inotify) about the folders around the home and about those that payloads name. What happens in
folders that are everybody's counts only under the payloads' own file name.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from dagbook.auth.roles import Role
from tests.app.attack import BODY, PATH, QUERY, SPEC, Answer, Attacker, Field, fields
from tests.app.dagbook import client_of
from tests.app.payloads import CANARY, NUMBERS, PAYLOADS, TRAVERSALS
from tests.app.people import People, serving_people
from tests.app.watch import Watch, watching
from tests.conftest import ROOT, Copies
from tests.selection import Share

pytestmark = pytest.mark.always

HIDDEN = b"nobody may read this"
# No names: what they say is run, and a run makes the directory that it works in. Nor the place of a source and its
# credentials, which are paths of the server that an admin gives.
PROGRAMS = {"spec", "params", "sourceDirectory", "place", "credentials"}
EVERYWHERE = "remoteNode"  # on every operation and read in one place: the payloads are dealt out to the routes
FEW = 20
NULS = [payload for payload in PAYLOADS if "\0" in payload]  # PostgreSQL refuses them: every field gets each one


class Scene(msgspec.Struct):
    """A server deep in folders of the tests' own, and files around it that nobody may touch."""

    attacker: Attacker
    fields: list[Field]
    watch: Watch
    around: Path
    share: Share  # of the payloads for each field

    async def restore(self) -> None:
        """Put back what attacks have used up."""
        await self.attacker.send("POST", "/dags", {"name": "quick", "spec": SPEC})
        await self.attacker.send("POST", "/dags/quick/start", {"dagRunId": "seeded"})

    def touched(self) -> set[Path]:
        own = {path for path in self.watch.touched() if path.is_relative_to(self.around) or path.name == CANARY}
        return {path for path in own if path.name != "home"}


@pytest.fixture(scope="module")
async def scene(copies: Copies, tmp_path_factory: pytest.TempPathFactory, share: Share) -> AsyncIterator[Scene]:
    around = tmp_path_factory.mktemp("around")
    folders = [around, around / "a", around / "a" / "b"]
    home = folders[-1] / "home"
    home.mkdir(parents=True)
    for folder in folders:
        (folder / CANARY).write_bytes(HIDDEN)
    shared = [Path("/"), Path("/etc"), Path(tempfile.gettempdir()), Path.home(), ROOT, ROOT.parent]
    async for url in copies.copy():
        async with serving_people(url, home) as people:
            attacker, found = await _prepare(people)
            with watching(folders, shared) as watch:
                # PostgreSQL answers more slowly, and no name is another path or file there: each field gets a part.
                yield Scene(attacker, found, watch, around, share.smaller(1 if url.startswith("sqlite") else 8))


async def _prepare(people: People) -> tuple[Attacker, list[Field]]:
    admin, victim = await people.add(Role.ADMIN), await people.add(Role.VIEWER)
    async with client_of(people.server) as client:
        client.headers["Authorization"] = f"Bearer {admin.token}"
        document = (await client.get("/openapi.json")).json()
        token = (await client.post("/tokens", json={"name": "t", "username": victim.name})).json()["details"]
    attacker = Attacker(people.server, admin.token, {"userId": victim.id, "tokenId": token["id"]})
    return attacker, fields(people.server, document)


def attacks(scene: Scene, where: str) -> Iterator[tuple[Field, list[str]]]:
    """Give the fields of one kind with their payloads."""
    chosen = [field for field in scene.fields if field.where == where and field.name not in PROGRAMS]
    for number, field in enumerate(chosen):
        share = scene.share.smaller(FEW if field.is_number or field.name == EVERYWHERE else 1)
        chosen_payloads = [*share.of(PAYLOADS, number), *(NUMBERS if field.is_number else [])]
        yield field, list(dict.fromkeys([*chosen_payloads, *NULS]))


def wrong(answer: Answer) -> str:
    """Say what is wrong with an answer, if anything is."""
    if answer.status >= 500 or HIDDEN in answer.content:
        return f"{answer.status} {answer.content[:200]!r}"
    split = [name for name, value in answer.headers.items() if "\r" in value or "\n" in value]
    return f"{split} are split" if split else ""


@pytest.mark.timeout(600)  # thousands of requests, and the machine may be busy
@pytest.mark.parametrize(("where", "least"), [(PATH, 8000), (QUERY, 1500), (BODY, 3000)])
async def test_an_attack_on_a_field_touches_no_file_and_breaks_nothing(scene: Scene, where: str, least: int) -> None:
    found, touched, before = {}, set(), scene.attacker.requests
    for field, payloads in attacks(scene, where):
        await scene.restore()
        for payload in payloads:
            if reason := wrong(await scene.attacker.try_field(field, payload)):
                found[f"{field} {payload[:80]!r}"] = reason
        touched |= scene.touched()
    assert (found, touched) == ({}, set())
    assert scene.attacker.requests - before >= least // scene.share.size


async def test_a_path_that_is_encoded_twice_or_not_at_all_reaches_nothing(scene: Scene) -> None:
    found, touched = {}, set()
    sendable = [payload for payload in TRAVERSALS if payload.isascii() and payload.isprintable()]
    for number, (field, _) in enumerate(attacks(scene, PATH)):
        for payload in scene.share.of(sendable, number):
            if reason := wrong(await scene.attacker.try_field(field, payload, raw=True)):
                found[f"{field} {payload}"] = reason
        touched |= scene.touched()
    assert (found, touched) == ({}, set())


async def test_every_field_of_every_route_is_attacked(scene: Scene) -> None:
    attacked = {(field.method, field.route) for field in scene.fields}
    assert {name for field in scene.fields if field.where == PATH for name in [field.name]} >= set(
        scene.attacker.existing
    ) - {"path"}
    assert len(attacked) >= 60


def test_the_watch_sees_who_reads_writes_and_removes(tmp_path: Path) -> None:
    file = tmp_path / CANARY
    with watching([tmp_path]) as watch:
        assert watch.touched() == set()
        file.touch()
        assert watch.touched() == {file}
        file.read_bytes()
        assert watch.touched() == {file}
        file.unlink()
        assert watch.touched() == {file}
        (tmp_path / "folder").mkdir()
        assert watch.touched() == {tmp_path / "folder"}
