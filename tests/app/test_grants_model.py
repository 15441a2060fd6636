"""Random grants, DAGs and requests against a model: answers show no DAG that it hides, and hide none that it shows.

Grants, groups, tags, names and runs change between the requests, so that what is derived from them is tried as well.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import httpx
import pytest

from dagbook.auth.roles import GRANTABLE, Role
from tests.app.people import People

SEEDS, TRIPLES = 40, 125  # triples of each seed, on each engine
KINDS, NUMBERS, TAGS = "abc", range(4), ("red", "green", "blue")


class Model:
    """What the grants of a user and its groups show, straight from the definition."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.dags: dict[str, tuple[str, set[str]]] = {}  # name and tags by file
        self.runs: set[tuple[str, str]] = set()
        self.grants: dict[str, tuple[str, str, str, Role]] = {}  # subject, pattern, tag and role by id
        self.members: set[tuple[str, str]] = set()  # user and group

    def tags(self, name: str) -> set[str]:
        return {tag for known, tags in self.dags.values() if known == name for tag in tags}

    def role(self, user: str, name: str) -> Role | None:
        subjects = {user, *(group for member, group in self.members if member == user)}
        roles = [
            role
            for subject, pattern, tag, role in self.grants.values()
            if subject in subjects
            and (fnmatchcase(name, f"{self.key}-{pattern}") if pattern else f"{self.key}-{tag}" in self.tags(name))
        ]
        return max(roles, key=GRANTABLE.index) if roles and name in self.names() else None

    def names(self) -> set[str]:
        return {name for name, _ in self.dags.values()} | {name for name, _ in self.runs}

    def visible(self, user: str) -> set[str]:
        return {name for name in self.names() if self.role(user, name)}


class World:
    """A server, its model, and the changes that both take."""

    def __init__(self, people: People, admin: httpx.AsyncClient, model: Model, seed: int) -> None:
        self.people, self.admin, self.model = people, admin, model
        self.random = random.Random(seed)  # noqa: S311 - a test
        self.users: dict[str, httpx.AsyncClient] = {}
        self.groups: list[str] = []

    async def ok(self, method: str, path: str, **body: Any) -> Any:
        answer = await self.admin.request(method, path, json=body)
        assert answer.is_success, (method, path, body, answer.text)
        return answer.json() if answer.content else None

    def name(self) -> str:
        return f"{self.model.key}-{self.random.choice(KINDS)}{self.random.choice(NUMBERS)}"

    async def save(self) -> None:
        """Store a DAG, or give one another name and other tags."""
        file = f"{self.model.key}-file{self.random.choice(range(8))}"
        name, tags = self.name(), {f"{self.model.key}-{tag}" for tag in TAGS if self.random.random() < 0.3}
        spec = f"name: {name}\ntags: {', '.join(tags)}\nschedule: '0 4 * * *'\nsteps:\n  - echo {self.model.key}\n"
        if file in self.model.dags:
            await self.ok("PUT", f"/dags/{file}/spec", spec=spec)
        else:
            await self.ok("POST", "/dags", name=file, spec=spec)
        self.model.dags[file] = (name, tags)

    async def delete(self) -> None:
        if self.model.dags:
            file = self.random.choice(sorted(self.model.dags))
            await self.ok("DELETE", f"/dags/{file}")
            del self.model.dags[file]

    async def run(self) -> None:
        """Enqueue a run, of a stored DAG or of a text, in one paused queue."""
        name, body = self.name(), {"queue": f"{self.model.key}-queue"}
        stored = next((file for file, (known, _) in self.model.dags.items() if known == name), None)
        path = "/dag-runs/enqueue" if stored is None else f"/dags/{stored}/enqueue"
        if stored is None:
            body |= {"name": name, "spec": "steps: [{name: a, command: 'true'}]"}
        self.model.runs.add((name, (await self.ok("POST", path, **body))["dagRunId"]))

    async def grant(self) -> None:
        subject = self.random.choice([*self.users, *self.groups])
        pattern = self.random.choice(["a*", "?1", "b2", "*", "c*3", "a?"])
        tag = self.random.choice(TAGS) if self.random.random() < 0.5 else ""
        chosen = {"tag": f"{self.model.key}-{tag}"} if tag else {"pattern": f"{self.model.key}-{pattern}"}
        role = self.random.choice(GRANTABLE)
        kind = "userId" if subject in self.users else "groupId"
        answer = await self.admin.post("/grants", json={"role": role, kind: subject, **chosen})
        if answer.status_code != 409:
            self.model.grants[answer.json()["id"]] = (subject, "" if tag else pattern, tag, role)

    async def revoke(self) -> None:
        if self.model.grants:
            grant = self.random.choice(sorted(self.model.grants))
            await self.ok("DELETE", f"/grants/{grant}")
            del self.model.grants[grant]

    async def change_role(self) -> None:
        if self.model.grants:
            grant, role = self.random.choice(sorted(self.model.grants)), self.random.choice(GRANTABLE)
            await self.ok("PATCH", f"/grants/{grant}", role=role)
            self.model.grants[grant] = (*self.model.grants[grant][:3], role)

    async def join_or_leave(self) -> None:
        pair = (self.random.choice(sorted(self.users)), self.random.choice(self.groups))
        is_member = pair in self.model.members
        await self.ok("DELETE" if is_member else "PUT", f"/groups/{pair[1]}/members/{pair[0]}")
        self.model.members ^= {pair}

    async def change(self) -> None:
        changes = (self.save, self.save, self.delete, self.run, self.run, self.grant, self.grant, self.revoke)
        await self.random.choice((*changes, self.change_role, self.join_or_leave))()


# Requests, and the names that their answers have to show, of those that are visible.
Shown = Callable[[Model, set[str]], set[str]]
LISTS: dict[str, Shown] = {
    "/dags?perPage=1000": lambda model, seen: {name for name, _ in model.dags.values()} & seen,
    "/dags?perPage=1000&sort=nextRun": lambda model, seen: {name for name, _ in model.dags.values()} & seen,
    "/dags?perPage=1000&tag={key}-red": lambda model, seen: {
        name for name, tags in model.dags.values() if f"{model.key}-red" in tags and name in seen
    },
    "/dag-runs": lambda model, seen: {name for name, _ in model.runs} & seen,
    "/dag-runs?limit=1000": lambda model, seen: {name for name, _ in model.runs} & seen,
    "/dag-runs?name={key}-a": lambda model, seen: {name for name, _ in model.runs if f"{model.key}-a" in name} & seen,
    "/dag-runs?subRuns=include": lambda model, seen: {name for name, _ in model.runs} & seen,
    "/dag-runs?status=5": lambda model, seen: {name for name, _ in model.runs} & seen,
    "/queues": lambda model, seen: {name for name, _ in model.runs} & seen,
    "/queues/{key}-queue/items?perPage=1000": lambda model, seen: {name for name, _ in model.runs} & seen,
    "/schedules/upcoming?perDag=1&limit=1000": lambda model, seen: {name for name, _ in model.dags.values()} & seen,
    "/schedules/slots": lambda _model, _seen: set(),
    "/workers": lambda _model, _seen: set(),
    "/dags/search?q={key}": lambda model, seen: {file for file, (name, _) in model.dags.items() if name in seen},
    "/search?q={key}": lambda _model, _seen: set(),  # at most eight
    "/search/texts?q={key}": lambda _model, _seen: set(),
    "/dags/tags": lambda model, seen: {tag for name in seen for tag in model.tags(name)},
}


async def check_list(world: World, user: str) -> None:
    path = world.random.choice(sorted(LISTS))
    model, visible = world.model, world.model.visible(user)
    answer = await world.users[user].get(path.format(key=model.key))
    expected = LISTS[path](model, visible)
    found = set(re.findall(rf"{model.key}-[\w]+", answer.text)) - {f"{model.key}-queue"}
    hidden = model.names() - visible | {file for file, (name, _) in model.dags.items() if name not in visible}
    hidden |= {f"{model.key}-{tag}" for tag in TAGS} - {tag for name in visible for tag in model.tags(name)}
    assert not found & hidden, (path, answer.text)
    assert expected <= found, (path, answer.text)


DETAILS = ("/dags/{file}", "/dags/{file}/spec", "/dags/{file}/dag-runs", "/dag-runs/{name}", "/dag-runs/{name}/{run}")


async def check_details(world: World, user: str) -> None:
    path, model = world.random.choice(DETAILS), world.model
    file, (name, _) = world.random.choice(sorted(model.dags.items())) if model.dags else ("no-file", ("no-name", set()))
    run = "no-run"
    if "{run}" in path and model.runs:
        name, run = world.random.choice(sorted(model.runs))
    answer = await world.users[user].get(path.format(file=file, name=name, run=run))
    is_there = model.role(user, name) is not None and (run != "no-run" or "{run}" not in path)
    assert answer.status_code == (200 if is_there else 404)
    others = model.names() - model.visible(user) - {name}
    assert not others & set(re.findall(rf"{model.key}-[\w]+", answer.text)), (path, answer.text)


async def check_role(world: World, user: str) -> None:
    """Check what the user may do with a DAG, by a change that changes nothing."""
    model = world.model
    if not model.dags:
        return
    file, (name, _) = world.random.choice(sorted(model.dags.items()))
    role = model.role(user, name)
    suspend = await world.users[user].post(f"/dags/{file}/suspend", json={"suspend": False})
    expected = 404 if role is None else 403 if role is Role.VIEWER else 200
    assert suspend.status_code == expected, suspend.text
    body = {"catchup": "none", "catchupWindowSec": 86400}
    settings = await world.users[user].put(f"/dags/{file}/settings", json=body)
    expected = 404 if role is None else 200 if role is Role.MANAGER else 403
    assert settings.status_code == expected, settings.text


async def check_view(world: World, user: str) -> None:
    """Check that an admin who tries as this user sees what the model shows."""
    view = await world.ok("GET", f"/users/{user}/access?perPage=1000")
    shown = {dag["name"]: dag["role"] for dag in view["dags"]}
    model = world.model
    assert shown == {name: str(model.role(user, name)) for name in model.visible(user)}


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, SEEDS))])
async def test_answers_agree_with_the_model(people: People, name: str, seed: int) -> None:
    async with people.client((await people.add(Role.ADMIN)).token) as admin:
        world = World(people, admin, Model(name), seed)
        await world.ok("POST", f"/queues/{name}-queue/pause")
        world.groups = [(await world.ok("POST", "/groups", name=f"{name} {n}"))["id"] for n in range(2)]
        people_of_test = [await people.add(role) for role in (Role.VIEWER, Role.MANAGER, Role.OPERATOR)]
        for person in people_of_test:
            await world.ok("PATCH", f"/users/{person.id}", scope="granted")
        async with people.client() as first, people.client() as second, people.client() as third:
            for person, client in zip(people_of_test, (first, second, third), strict=True):
                client.headers["Authorization"] = f"Bearer {person.token}"
                world.users[person.id] = client
            for _ in range(8):
                await world.change()
            checks = (check_list, check_list, check_list, check_details, check_details, check_role, check_view)
            for step in range(TRIPLES):
                if step % 4 == 0:
                    await world.change()
                await world.random.choice(checks)(world, world.random.choice(sorted(world.users)))
