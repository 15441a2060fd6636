"""What scripts/fuzz-api adds to schemathesis: names that exist, an own account that survives, and counts.

Generated names nearly never exist, so a part of the requests is sent to things that were put there. Nothing is hidden:
no answer is changed or passed over. Settings come from the environment, as schemathesis starts this file itself.
"""

from __future__ import annotations

import atexit
import copy
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import schemathesis
from schemathesis import AuthContext, Case, HookContext

AnyCase = Case[Any]
ADDRESS = os.environ["FUZZ_ADDRESS"]
TOKEN = os.environ["FUZZ_TOKEN"]
COUNTS = os.environ["FUZZ_COUNTS"]
GUEST = "guest"
PASSWORD = os.environ["FUZZ_PASSWORD"]

SPECS = {
    "quick": "params: WHO=you\ntags: [nightly, env=test]\nsteps:\n  - name: say\n    command: echo ${WHO}\n",
    "caller": "steps:\n  - name: call\n    call: quick\n",
    "failing": "steps:\n  - name: fail\n    command: exit 3\n  - name: after\n    command: echo never\n",
    "slow": "maxActiveRuns: 2\nsteps:\n  - name: wait\n    command: sleep 2\n",
    "planned": "schedule: '0 3 * * *'\nsteps:\n  - name: say\n    command: 'true'\n",
}
RUN = "seeded"
STEPS = ["say", "call", "fail", "after", "wait"]
SEEDED_EVERY = 40  # requests: renaming and removing are among the operations


class Ground:
    """What is there to be found, put back from time to time."""

    def __init__(self) -> None:
        self.client = httpx.Client(base_url=ADDRESS, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
        self.me = str(self.client.get("/auth/me").json()["user"]["id"])
        self.users: list[str] = []
        self.tokens: list[str] = []
        self.sub_runs: list[str] = []
        self.requests = 0

    def seed(self) -> None:
        """Put back what is missing, and learn the ids that the server gave."""
        for name, spec in SPECS.items():
            self.client.post("/dags", json={"name": name, "spec": spec})
            self.client.post(f"/dags/{name}/start", json={"dagRunId": RUN})
        for name in (GUEST, "ann", "bob"):
            self.client.post("/users", json={"username": name, "password": PASSWORD, "role": "viewer"})
            self.client.post("/tokens", json={"username": name, "name": "ci"})
        self.users = [user["id"] for user in self.client.get("/users").json()["users"] if user["id"] != self.me]
        self.tokens = [token["id"] for token in self.client.get("/tokens", params={"all": "true"}).json()["tokens"]]
        answer = self.client.get(f"/dag-runs/caller/{RUN}/sub-dag-runs")
        self.sub_runs = [run["dagRunId"] for run in answer.json().get("subRuns", [])]

    def pool(self, parameter: str) -> list[str]:
        """Return values of a path parameter that lead somewhere."""
        known = {
            "userId": self.users,
            "tokenId": self.tokens,
            "fileName": list(SPECS),
            "name": list(SPECS),
            "dagRunId": [RUN, "latest"],
            "subDAGRunId": self.sub_runs,
            "stepName": STEPS,
            "number": ["1", "2"],
        }
        return known.get(parameter, [])

    def log_in(self) -> str:
        """Log in as somebody whose password may change: with a password, all of one's tokens end."""
        self.seed()
        for user in self.client.get("/users").json()["users"]:
            if user["username"] == GUEST:
                self.client.post(f"/users/{user['id']}/reset-password", json={"newPassword": PASSWORD})
        answer = self.client.post("/auth/login", json={"username": GUEST, "password": PASSWORD})
        return str(answer.json()["token"])


# Where the contract contradicts itself: the patterns that hold instead, and why.
EMPTY_IDS = {
    "dagRunId": "^[a-zA-Z0-9_-]*$",
    "rootDAGRunId": "^[a-zA-Z0-9_-]*$",
    "rootDAGRunName": "^[a-zA-Z0-9_.-]*$",
}
REASON = (
    "latestDAGRun, and the run latest of a DAG, are required, also of a DAG that never ran, and the patterns of their "
    "ids fit those of runs only: there, and nowhere else, they may be empty"
)
LATEST = "/dags/{fileName}/dag-runs/{dagRunId}"
_ground = Ground()
_chance = random.Random(os.environ.get("FUZZ_SEED", "1"))  # noqa: S311 - no secret is made
_counts: defaultdict[str, Counter[str]] = defaultdict(Counter)


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:  # noqa: ARG001 - its name and shape are schemathesis's
    """Allow what REASON tells of, under ``latestDAGRun`` and in the response of ``LATEST`` only."""
    print(f"Amended: {REASON}", flush=True)
    schemas = raw_schema["components"]["schemas"]
    response = raw_schema["paths"][LATEST]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    places = [(holder, "latestDAGRun") for holder in _holders(raw_schema)] + [(response["properties"], "dagRun")]
    for holder, key in places:
        name = holder[key]["$ref"].rpartition("/")[2]
        schemas[f"{name}OrNone"] = _with_empty_ids(raw_schema, schemas[name])
        holder[key] = {"$ref": f"#/components/schemas/{name}OrNone"}


def _holders(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "$ref" in node.get("latestDAGRun", {}):
            yield node
        for value in node.values():
            yield from _holders(value)
    elif isinstance(node, list):
        for value in node:
            yield from _holders(value)


def _with_empty_ids(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(schema)
    if "allOf" in changed:
        changed["allOf"] = [_with_empty_ids(document, _resolve(document, part)) for part in changed["allOf"]]
    for name, pattern in EMPTY_IDS.items():
        if name in changed.get("properties", {}):
            changed["properties"][name] = {"type": "string", "pattern": pattern}
    return changed


def _resolve(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    found: dict[str, Any] = document["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return found


@schemathesis.hook
def before_call(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:  # noqa: ARG001 - its name and shape are schemathesis's
    """Send a part of the requests to what exists, and none against the own account."""
    if _ground.requests % SEEDED_EVERY == 0:
        _ground.seed()
    _ground.requests += 1
    _find_existing(case)
    _spare_caller(case)
    _fill_body(case)
    _ask_here(case)


def _find_existing(case: AnyCase) -> None:
    for name in case.path_parameters or {}:
        pool = _ground.pool(name)
        if pool and _chance.random() < 0.7:  # noqa: PLR2004 - most, so that whole paths exist often
            case.path_parameters[name] = _chance.choice(pool)


def _spare_caller(case: AnyCase) -> None:
    """Without its user the rest of the run would say 401 and show nothing."""
    parameters = case.path_parameters or {}
    if case.method != "GET" and str(parameters.get("userId")) == _ground.me:
        parameters["userId"] = _chance.choice(_ground.users or ["nobody"])


def _fill_body(case: AnyCase) -> None:
    body = case.body
    if not isinstance(body, dict) or _chance.random() < 0.5:  # noqa: PLR2004 - half of them
        return
    new = f"fuzz-{_chance.randrange(10**6)}"
    true = {
        "currentPassword": PASSWORD,
        "spec": _chance.choice(list(SPECS.values())),
        "dagName": "quick",
        "params": "WHO=me",
    }
    true |= {"name": new, "newFileName": new, "dagRunId": new}
    if case.path.endswith("/login"):
        true |= {"username": GUEST, "password": PASSWORD}
    if case.path.endswith("/retry"):
        true |= {"dagRunId": case.path_parameters["dagRunId"]}
    body.update({name: value for name, value in true.items() if name in body})


def _ask_here(case: AnyCase) -> None:
    """Ask for what is here: another node, an empty search, another revision would turn nearly all requests away."""
    if case.headers and _chance.random() < 0.9:  # noqa: PLR2004 - nearly all
        case.headers.pop("If-Match", None)
    if case.query and "remoteNode" in case.query and _chance.random() < 0.9:  # noqa: PLR2004 - nearly all
        case.query["remoteNode"] = "local"
    if case.query and case.query.get("q") == "":
        case.query["q"] = "echo"


@schemathesis.auth(refresh_interval=None)
class Own:
    """Be the admin, but where a password is changed: with it, all tokens of its user end."""

    def get(self, case: AnyCase, context: AuthContext) -> str:  # noqa: ARG002 - its shape is schemathesis's
        """Return the admin's token."""
        return TOKEN

    def set(self, case: AnyCase, data: str, context: AuthContext) -> None:  # noqa: ARG002 - its shape is schemathesis's
        """Send it, or that of a fresh login."""
        token = _ground.log_in() if case.path.endswith("/change-password") else data
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.hook
def after_call(context: HookContext, case: AnyCase, response: Any) -> None:  # noqa: ARG001 - its name and shape are schemathesis's
    """Count the answers of each operation."""
    _counts[f"{case.method} {case.path}"][str(response.status_code)] += 1


@atexit.register
def _write_counts() -> None:
    with open(COUNTS, "w", encoding="utf-8") as file:  # noqa: PTH123 - nothing else is left to import then
        json.dump(_counts, file)
