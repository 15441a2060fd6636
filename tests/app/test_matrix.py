"""Who may do what: every route times everybody who may come along (api-behaviour 2.4, promises S1).

A route without a row here fails, and so does a row without a route.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import update

from dagbook.accounts.access import GrantRequest
from dagbook.accounts.tokens import TokenRequest
from dagbook.accounts.users import UserChanges
from dagbook.api.auth.guards import find_required_permissions
from dagbook.auth.roles import Role, Scope, UserScope
from dagbook.auth.tokens import Claims
from dagbook.db.models import Token
from dagbook.main import API_PATH, Server
from dagbook.web import pages
from tests.app.dagbook import client_of, routes_of, serving
from tests.app.people import ROOT, SECRET, Credential, People, serving_people
from tests.conftest import Copies

EVERYBODY, USERS, OPERATORS, MANAGERS, ADMINS = "everybody", "users", "operators", "managers", "admins"
SENDERS = "senders, by a signature or a token of the hook"
OWNERS, FRESH = "users, of what is their own", "users, of what is their own, with a login or the scope admin"

# Method and path: who may, and which switch has to be on (W: permissions_write_dags, R: permissions_run_dags).
MATRIX: dict[tuple[str, str], tuple[str, str]] = {
    ("GET", "/health"): (EVERYBODY, ""),
    ("GET", "/metrics"): (USERS, ""),
    ("GET", "/workers"): (USERS, ""),
    ("GET", "/services/figures"): (USERS, ""),
    ("GET", "/services/resources/history"): (USERS, ""),
    ("GET", "/services/scheduler"): (USERS, ""),
    ("GET", "/overview"): (USERS, ""),
    ("GET", "/doctor"): (ADMINS, ""),
    ("POST", "/secrets/rekey"): (ADMINS, ""),
    ("GET", "/hold"): (USERS, ""),
    ("POST", "/hold/resume"): (ADMINS, ""),
    ("GET", "/pause"): (USERS, ""),
    ("PUT", "/pause"): (ADMINS, ""),
    ("DELETE", "/pause"): (ADMINS, ""),
    ("GET", "/retention/preview"): (USERS, ""),
    ("POST", "/retention/cleanup"): (ADMINS, ""),
    ("GET", "/sources"): (USERS, ""),
    ("POST", "/sources"): (ADMINS, "W"),
    ("GET", "/sources/{sourceName}"): (USERS, ""),
    ("DELETE", "/sources/{sourceName}"): (ADMINS, "W"),
    ("POST", "/sources/{sourceName}/sync"): (MANAGERS, ""),
    ("POST", "/sources/{sourceName}/fetch"): (MANAGERS, ""),
    ("GET", "/alert-channels"): (USERS, ""),
    ("POST", "/alert-channels"): (ADMINS, ""),
    ("GET", "/alert-channels/{channelName}"): (USERS, ""),
    ("PATCH", "/alert-channels/{channelName}"): (ADMINS, ""),
    ("DELETE", "/alert-channels/{channelName}"): (ADMINS, ""),
    ("POST", "/alert-channels/{channelName}/secret"): (ADMINS, ""),
    ("POST", "/alert-channels/{channelName}/test"): (ADMINS, ""),
    ("GET", "/alert-rules"): (USERS, ""),
    ("POST", "/alert-rules"): (MANAGERS, ""),
    ("GET", "/alert-rules/{ruleName}"): (USERS, ""),
    ("PUT", "/alert-rules/{ruleName}"): (MANAGERS, ""),
    ("DELETE", "/alert-rules/{ruleName}"): (MANAGERS, ""),
    ("POST", "/alert-rules/{ruleName}/test"): (MANAGERS, ""),
    ("GET", "/alerts"): (USERS, ""),
    ("GET", "/alerts/{alertId}"): (USERS, ""),
    ("POST", "/alerts/{alertId}/acknowledge"): (OPERATORS, "R"),
    ("GET", "/alert-deliveries"): (USERS, ""),
    ("POST", "/alert-deliveries/{deliveryId}/resend"): (OPERATORS, "R"),
    ("GET", "/dags/{fileName}/alerts"): (USERS, ""),
    ("GET", "/triggers"): (USERS, ""),
    ("POST", "/triggers"): (MANAGERS, ""),
    ("GET", "/triggers/{triggerName}"): (USERS, ""),
    ("PATCH", "/triggers/{triggerName}"): (MANAGERS, ""),
    ("DELETE", "/triggers/{triggerName}"): (MANAGERS, ""),
    ("POST", "/triggers/{triggerName}/secret"): (MANAGERS, ""),
    ("POST", "/triggers/{triggerName}/pause"): (OPERATORS, "R"),
    ("POST", "/triggers/{triggerName}/resume"): (OPERATORS, "R"),
    ("GET", "/triggers/{triggerName}/events"): (USERS, ""),
    ("GET", "/triggers/{triggerName}/events/{eventId}"): (USERS, ""),
    ("GET", "/triggers/{triggerName}/events/{eventId}/body"): (OPERATORS, ""),
    ("POST", "/triggers/{triggerName}/events/{eventId}/replay"): (OPERATORS, "R"),
    ("POST", "/triggers/{triggerName}/events/{eventId}/discard"): (OPERATORS, "R"),
    ("POST", "/triggers/{triggerName}/test"): (OPERATORS, ""),
    ("GET", "/dags/{fileName}/triggers"): (USERS, ""),
    ("GET", "/batches"): (USERS, ""),
    ("POST", "/batches"): (OPERATORS, "R"),
    ("GET", "/batches/{batchId}"): (USERS, ""),
    ("GET", "/batches/{batchId}/items"): (USERS, ""),
    ("POST", "/batches/{batchId}/pause"): (OPERATORS, "R"),
    ("POST", "/batches/{batchId}/resume"): (OPERATORS, "R"),
    ("POST", "/batches/{batchId}/cancel"): (OPERATORS, "R"),
    ("POST", "/batches/{batchId}/retry"): (OPERATORS, "R"),
    ("GET", "/dags/{fileName}/slots"): (USERS, ""),
    ("POST", "/hooks/{hookName}"): (SENDERS, ""),
    ("PUT", "/hooks/{hookName}"): (SENDERS, ""),
    ("POST", "/webhooks/{hookName}"): (SENDERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/alerts"): (USERS, ""),
    ("GET", "/dags/{fileName}/retention"): (USERS, ""),
    ("PUT", "/dags/{fileName}/retention"): (MANAGERS, "W"),
    ("GET", "/services/coordinator"): (USERS, ""),
    ("POST", "/auth/login"): (EVERYBODY, ""),
    ("POST", "/auth/session"): (EVERYBODY, ""),
    ("GET", "/auth/session"): (USERS, ""),
    ("GET", "/auth/me"): (USERS, ""),
    ("POST", "/auth/logout"): (USERS, ""),
    ("POST", "/auth/change-password"): (OWNERS, ""),
    ("GET", "/users"): (ADMINS, ""),
    ("POST", "/users"): (ADMINS, ""),
    ("GET", "/users/{userId}"): (ADMINS, ""),
    ("PATCH", "/users/{userId}"): (ADMINS, ""),
    ("PUT", "/users/{userId}"): (ADMINS, ""),
    ("DELETE", "/users/{userId}"): (ADMINS, ""),
    ("POST", "/users/{userId}/reset-password"): (ADMINS, ""),
    ("PUT", "/users/{userId}/password"): (ADMINS, ""),
    ("GET", "/sessions"): (USERS, ""),
    ("DELETE", "/sessions"): (OWNERS, ""),
    ("DELETE", "/sessions/{sessionId}"): (OWNERS, ""),
    ("GET", "/tokens"): (USERS, ""),
    ("POST", "/tokens"): (FRESH, ""),
    ("DELETE", "/tokens/{tokenId}"): (FRESH, ""),
    ("GET", "/groups"): (ADMINS, ""),
    ("POST", "/groups"): (ADMINS, ""),
    ("GET", "/groups/{groupId}"): (ADMINS, ""),
    ("PUT", "/groups/{groupId}"): (ADMINS, ""),
    ("DELETE", "/groups/{groupId}"): (ADMINS, ""),
    ("PUT", "/groups/{groupId}/members/{userId}"): (ADMINS, ""),
    ("DELETE", "/groups/{groupId}/members/{userId}"): (ADMINS, ""),
    ("GET", "/grants"): (ADMINS, ""),
    ("POST", "/grants"): (ADMINS, ""),
    ("PATCH", "/grants/{grantId}"): (ADMINS, ""),
    ("DELETE", "/grants/{grantId}"): (ADMINS, ""),
    ("GET", "/users/{userId}/access"): (ADMINS, ""),
    ("GET", "/dags/{fileName}/access"): (ADMINS, ""),
    ("GET", "/events"): (USERS, ""),
    ("GET", "/dags"): (USERS, ""),
    ("POST", "/dags"): (MANAGERS, "W"),
    ("POST", "/dags/validate"): (USERS, ""),
    ("GET", "/dags/validate"): (USERS, ""),
    ("DELETE", "/dags/validate"): (MANAGERS, "W"),
    ("GET", "/dags/search"): (USERS, ""),
    ("DELETE", "/dags/search"): (MANAGERS, "W"),
    ("GET", "/dags/tags"): (USERS, ""),
    ("DELETE", "/dags/tags"): (MANAGERS, "W"),
    ("GET", "/dags/{fileName}"): (USERS, ""),
    ("DELETE", "/dags/{fileName}"): (MANAGERS, "W"),
    ("POST", "/dags/{fileName}/start"): (OPERATORS, "R"),
    ("POST", "/dags/{fileName}/enqueue"): (OPERATORS, "R"),
    ("GET", "/dags/{fileName}/spec"): (USERS, ""),
    ("PUT", "/dags/{fileName}/spec"): (MANAGERS, "W"),
    ("POST", "/dags/{fileName}/stop-all"): (OPERATORS, "R"),
    ("POST", "/dags/{fileName}/rename"): (MANAGERS, "W"),
    ("POST", "/dags/{fileName}/suspend"): (OPERATORS, "R"),
    ("GET", "/dags/{fileName}/dag-runs"): (USERS, ""),
    ("GET", "/dags/{fileName}/dag-runs/{dagRunId}"): (USERS, ""),
    ("GET", "/dags/{fileName}/statistics"): (USERS, ""),
    ("GET", "/dags/{fileName}/days"): (USERS, ""),
    ("GET", "/dags/{fileName}/schedule/next"): (USERS, ""),
    ("GET", "/dags/{fileName}/revisions"): (USERS, ""),
    ("GET", "/dags/{fileName}/revisions/diff"): (USERS, ""),
    ("POST", "/dags/{fileName}/revisions/diff"): (USERS, ""),
    ("GET", "/dags/{fileName}/revisions/{number}"): (USERS, ""),
    ("POST", "/dags/{fileName}/revisions/{number}/restore"): (MANAGERS, "W"),
    ("POST", "/dags/{fileName}/revisions/{number}/redact"): (ADMINS, "W"),
    ("GET", "/dags/{fileName}/settings"): (USERS, ""),
    ("PUT", "/dags/{fileName}/settings"): (MANAGERS, "W"),
    ("GET", "/dags/{fileName}/run-as"): (USERS, ""),
    ("PUT", "/dags/{fileName}/run-as"): (ADMINS, ""),
    ("GET", "/schedules/upcoming"): (USERS, ""),
    ("GET", "/schedules/slots"): (USERS, ""),
    ("GET", "/schemas/dag"): (USERS, ""),
    ("GET", "/audit"): (ADMINS, ""),
    ("POST", "/audit/prune"): (ADMINS, ""),
    ("GET", "/dag-runs"): (USERS, ""),
    ("POST", "/dag-runs"): (OPERATORS, "R"),
    ("POST", "/dag-runs/enqueue"): (OPERATORS, "R"),
    ("GET", "/dag-runs/enqueue"): (USERS, ""),
    ("GET", "/queues"): (USERS, ""),
    ("GET", "/queues/{name}/items"): (USERS, ""),
    ("PATCH", "/queues/{name}/items/{itemId}"): (OPERATORS, "R"),
    ("POST", "/queues/{name}/pause"): (OPERATORS, "R"),
    ("POST", "/queues/{name}/resume"): (OPERATORS, "R"),
    ("POST", "/queues/{name}/clear"): (OPERATORS, "R"),
    ("GET", "/dag-runs/{name}"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}"): (USERS, ""),
    ("GET", "/search"): (USERS, ""),
    ("GET", "/search/texts"): (USERS, ""),
    ("GET", "/approvals"): (USERS, ""),
    ("GET", "/approvals/count"): (USERS, ""),
    ("GET", "/approvals/decided"): (USERS, ""),
    ("POST", "/dag-runs/{name}/{dagRunId}/stop"): (OPERATORS, "R"),
    ("GET", "/dag-runs/{name}/{dagRunId}/dequeue"): (OPERATORS, "R"),
    ("POST", "/dag-runs/{name}/{dagRunId}/retry"): (OPERATORS, "R"),
    ("POST", "/dag-runs/{name}/{dagRunId}/reschedule"): (OPERATORS, "R"),
    ("PATCH", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/status"): (OPERATORS, "R"),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/log"): (USERS, ""),
    ("POST", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/approve"): (OPERATORS, "R"),
    ("POST", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/reject"): (OPERATORS, "R"),
    ("POST", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/approve"): (OPERATORS, "R"),
    ("POST", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/reject"): (OPERATORS, "R"),
    ("GET", "/dag-runs/{name}/{dagRunId}/steps/{stepName}"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/summary"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/summary"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/last-good"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/last-good"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/outputs"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/outputs"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/log"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/log/download"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/log/lines"): (USERS, ""),
    ("PATCH", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/steps/{stepName}/status"): (OPERATORS, "R"),
    ("GET", "/dag-runs/{name}/{dagRunId}/log"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/log"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/log/download"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/steps/{stepName}/log/lines"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/events"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/log/pieces"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/log/search"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/events"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/log/pieces"): (USERS, ""),
    ("GET", "/dag-runs/{name}/{dagRunId}/sub-dag-runs/{subDAGRunId}/log/search"): (USERS, ""),
    ("GET", "/openapi.json"): (USERS, ""),
    ("GET", "/openapi.json/openapi.json"): (USERS, ""),
    ("GET", "/openapi.json/{path}"): (USERS, ""),
}
OUTSIDE = "outside the API: "
MATRIX |= {("GET", f"{OUTSIDE}{path}"): (EVERYBODY, "") for path in ("/oidc-login", "/oidc-callback")}
# The web UI's document has only the session of who asks: what its pages show, they ask the API for.
MATRIX |= {("GET", f"{OUTSIDE}{path.replace(':str', '')}"): (EVERYBODY, "") for path in pages.PATHS}
MATRIX |= {("GET", f"{OUTSIDE}/assets/{{version}}/{{path:path}}"): (EVERYBODY, "")}
MANAGEMENT = ("/auth/", "/users", "/sessions", "/tokens", "/groups", "/grants", "/dags/{fileName}/access")
MANAGED = {path for path in MATRIX if path[1].startswith(MANAGEMENT)} - {
    ("GET", "/auth/session"),
    ("POST", "/auth/logout"),
}
# Without users they say that there are none.
HOOKS = {route for route, (least, _) in MATRIX.items() if least == SENDERS}  # which no login opens
LOGINS = {("POST", "/auth/login"), ("POST", "/auth/session")}
ASKED = [route for route in MATRIX if route != ("POST", "/auth/logout")]  # which would end the callers' sessions

MAY = {
    "anonymous": {EVERYBODY},
    "viewer": {EVERYBODY, USERS, OWNERS, FRESH},
    "operator": {EVERYBODY, USERS, OWNERS, FRESH, OPERATORS},
    "manager": {EVERYBODY, USERS, OWNERS, FRESH, OPERATORS, MANAGERS},
    "admin": {EVERYBODY, USERS, OWNERS, FRESH, OPERATORS, MANAGERS, ADMINS},
    "browser of a viewer": {EVERYBODY, USERS, OWNERS, FRESH},
    "browser of an admin": {EVERYBODY, USERS, OWNERS, FRESH, OPERATORS, MANAGERS, ADMINS},
    "viewer's token of an admin": {EVERYBODY, USERS, OWNERS},
    "manager's token": {EVERYBODY, USERS, OWNERS, OPERATORS, MANAGERS},
    "token of an admin without scopes": {EVERYBODY, USERS, OWNERS, OPERATORS, MANAGERS},
    "token of an admin for all": {EVERYBODY, USERS, OWNERS, FRESH, OPERATORS, MANAGERS, ADMINS},
    "token of an admin made viewer": {EVERYBODY, USERS, OWNERS, FRESH},
    "token of an admin for reading": {EVERYBODY, USERS},
    "token of an admin for running": {EVERYBODY, OPERATORS},
    "token of an admin for writing": {EVERYBODY, MANAGERS},
    "token of an admin for administration": {EVERYBODY, ADMINS, OWNERS, FRESH},
    "token of an operator for all": {EVERYBODY, USERS, OWNERS, FRESH, OPERATORS},
    "token for another address": {EVERYBODY},
    "revoked token": {EVERYBODY},
    "ended token": {EVERYBODY},
    "token of a removed user": {EVERYBODY},
    "removed user": {EVERYBODY},
    "disabled user": {EVERYBODY},
    "token of a disabled user": {EVERYBODY},
    "expired login": {EVERYBODY},
    "login before a reset": {EVERYBODY},
    "browser before a reset": {EVERYBODY},
    "login that was ended": {EVERYBODY},
    "cookie of a browser as a token": {EVERYBODY},
    "token of a login as a cookie": {EVERYBODY},
}
_PART = re.compile(r"\{[\w:]+\}")
UNKNOWN = [who for who, may in MAY.items() if may == {EVERYBODY}]


def routes(server: Server) -> set[tuple[str, str]]:
    """All routes of a server, paths as the contract writes them."""
    found = find_required_permissions(routes_of(server))
    return {(method, _short(path).replace(":str", "")) for method, path in found}


def _short(path: str) -> str:
    return path.removeprefix(API_PATH) if path.startswith(API_PATH) else f"{OUTSIDE}{path}"


@pytest.mark.always
async def test_every_route_has_a_row_and_every_row_a_route(people: People) -> None:
    assert routes(people.server) == set(MATRIX)


async def ask(client: httpx.AsyncClient, route: tuple[str, str], content: bytes = b"{}") -> httpx.Response:
    method, path = route
    path = _PART.sub("nothing", path).replace(OUTSIDE, "http://localhost")
    path += "?after=nothing" if path == "/events" else ""  # else who may would get an answer without an end
    return await client.request(method, path, content=content if method in ("POST", "PUT", "PATCH") else None)


def expected(who: str, route: tuple[str, str]) -> int | None:
    """The status that refuses, or None."""
    least, _ = MATRIX[route]
    if route in HOOKS:
        return 401
    if least in MAY[who]:
        return None
    return 401 if who in UNKNOWN else 403


def refusal_of(answer: httpx.Response) -> int | None:
    return answer.status_code if answer.status_code in (401, 403) else None


@pytest.fixture(scope="session")
async def tokens(people: People) -> dict[str, Credential]:
    """The credential of everybody who may come along."""
    services = people.server.services
    made: dict[str, Credential] = {str(role): (await people.add(role)).token for role in Role}
    admin, lowered, gone, disabled = [await people.add(Role.ADMIN) for _ in range(4)]
    operator = await people.add(Role.OPERATOR)
    made |= {
        "viewer's token of an admin": await personal(people, admin.name, Role.VIEWER),
        "manager's token": await personal(people, (await people.add(Role.MANAGER)).name, Role.MANAGER),
        "token of an admin without scopes": await personal(people, admin.name, Role.ADMIN, end="older version"),
        "token of an admin for all": await personal(people, admin.name, Role.ADMIN),
        "token of an admin made viewer": await personal(people, lowered.name, Role.ADMIN),
        "token of an admin for reading": await personal(people, admin.name, Role.ADMIN, scopes=[Scope.READ]),
        "token of an admin for running": await personal(people, admin.name, Role.ADMIN, scopes=[Scope.RUN]),
        "token of an admin for writing": await personal(people, admin.name, Role.ADMIN, scopes=[Scope.WRITE]),
        "token of an admin for administration": await personal(people, admin.name, Role.ADMIN, scopes=[Scope.ADMIN]),
        "token of an operator for all": await personal(people, operator.name, Role.OPERATOR, scopes=list(Scope)),
        "token for another address": await personal(people, admin.name, Role.ADMIN, addresses=["192.0.2.0/24"]),
        "revoked token": await personal(people, admin.name, Role.ADMIN, end="revoked"),
        "ended token": await personal(people, admin.name, Role.ADMIN, end="ended"),
        "token of a removed user": await personal(people, gone.name, Role.ADMIN),
        "removed user": gone.token,
        "disabled user": disabled.token,
        "token of a disabled user": await personal(people, disabled.name, Role.ADMIN),
        "expired login": await expired(people, admin.id),
        "login before a reset": (reset := await people.add(Role.ADMIN)).token,
    }
    viewer, ended = await people.add(Role.VIEWER), await people.add(Role.ADMIN)
    browser = await people.browse(admin.name)
    name, _, text = browser["Cookie"].partition("=")
    made |= {
        "browser of a viewer": await people.browse(viewer.name),
        "browser of an admin": browser,
        "browser before a reset": await people.browse(reset.name),
        "login that was ended": ended.token,
        "cookie of a browser as a token": text,
        "token of a login as a cookie": {**browser, "Cookie": f"{name}={admin.token}"},
    }
    await services.accounts.auth.sessions.end_all(ended.name, ROOT)
    await services.accounts.auth.users.update(lowered.id, UserChanges(role=Role.VIEWER), ROOT)
    await services.accounts.auth.users.remove(gone.id, ROOT)
    await services.accounts.auth.users.update(disabled.id, UserChanges(disabled=True), ROOT)
    await services.accounts.auth.users.reset_password(reset.id, "another horse", ROOT)
    return made


async def personal(people: People, username: str, role: Role, end: str = "", **limits: Any) -> str:
    """Make a token; that of an admin has all scopes, unless some are given or it is of an older version."""
    services = people.server.services
    if role is Role.ADMIN:
        limits = {"scopes": list(Scope), **limits}
    wish = TokenRequest(
        name=secrets.token_hex(4),
        role=role,
        username=username,
        expires_at=services.runs.now() + timedelta(hours=1) if end == "ended" else None,
        **limits,
    )
    token, row = await services.accounts.auth.tokens.create(wish, ROOT)
    if end == "revoked":
        await services.accounts.auth.tokens.revoke(row.id, ROOT)
    if end == "older version":
        unscoped = update(Token).where(Token.id == row.id).values(scopes=None)
        await services.runs.database.write(lambda connection: connection.execute(unscoped))
    if end == "ended":
        times = {name: getattr(row, name) - timedelta(hours=2) for name in ("created_at", "expires_at")}
        change = update(Token).where(Token.id == row.id).values(**times)
        await services.runs.database.write(lambda connection: connection.execute(change))
    return token


async def expired(people: People, user_id: str) -> str:
    sessions = people.server.services.accounts.auth.sessions
    made = int(people.server.services.runs.now().timestamp()) - 100
    claims = Claims(sub=user_id, uid=user_id, username="x", role="admin", iat=made, exp=made + 99, gen=1, jti="x")
    return sessions._signer.sign(claims)


@pytest.mark.parametrize("who", MAY)
async def test_everybody_may_do_what_the_matrix_says(people: People, tokens: dict[str, Credential], who: str) -> None:
    async with people.client(tokens.get(who)) as client:
        found = {route: refusal_of(await ask(client, route)) for route in ASKED}
    assert found == {route: expected(who, route) for route in ASKED}


@pytest.mark.always
@pytest.mark.parametrize("who", ["viewer", "operator", "manager"])
async def test_who_may_not_learns_nothing_about_the_body(
    people: People, tokens: dict[str, Credential], who: str
) -> None:
    refused = [route for route in MATRIX if expected(who, route) == 403]
    async with people.client(tokens[who]) as client:
        assert {(await ask(client, route, b"{")).status_code for route in refused} == {403}


@pytest.mark.always
async def test_who_is_not_known_is_told_how_to_log_in(people: People, tokens: dict[str, Credential]) -> None:
    for who in UNKNOWN:
        async with people.client(tokens.get(who)) as client:
            answer = await client.get("/dags")
        assert answer.headers["www-authenticate"] == 'Bearer realm="restricted"'
        assert answer.json()["code"] == "unauthorized"


async def test_a_path_or_method_that_is_not_there_needs_no_credentials(people: People) -> None:
    async with people.client() as client:
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.patch("/dags")).status_code == 405
        answer = await client.options("/dags")
        assert (answer.status_code, answer.content) == (204, b"")


@pytest.fixture(params=["W", "R"])
async def switched_off(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> AsyncIterator[tuple[str, People]]:
    name = {"W": "permissions_write_dags", "R": "permissions_run_dags"}[request.param]
    async with serving_people(database_url, tmp_path, **{name: "false"}) as people:
        yield request.param, people


async def test_what_is_switched_off_is_refused_to_admins_too(switched_off: tuple[str, People]) -> None:
    off, people = switched_off
    async with people.client((await people.add(Role.ADMIN)).token) as client:
        found = {route for route in ASKED if refusal_of(await ask(client, route)) == 403}
    assert found == {route for route, (_, switch) in MATRIX.items() if switch == off}


@pytest.fixture(scope="session")
async def alone(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server without users, which a token and a pair open."""
    settings = {"auth_token": "static token", "auth_basic_username": "ann", "auth_basic_password": "pass:word"}
    async for url in copies.copy():
        async with serving(url, tmp_path_factory.mktemp("home"), **settings) as server:
            yield server


@pytest.mark.parametrize("how", ["token", "basic", "none"])
async def test_without_users_who_is_let_in_may_do_everything_but_manage_them(
    server: Server, alone: Server, how: str
) -> None:
    async with client_of(server if how == "none" else alone) as client:
        if how == "token":
            client.headers["Authorization"] = "Bearer static token"
        if how == "basic":
            client.auth = httpx.BasicAuth("ann", "pass:word")
        login = b'{"username": "a", "password": "b"}'
        found = {route: refusal_of(await ask(client, route, login if route in LOGINS else b"{}")) for route in MATRIX}
    assert found == {route: 401 if route in MANAGED | HOOKS else None for route in MATRIX}


async def test_the_role_of_a_login_s_token_does_not_count(people: People) -> None:
    viewer = await people.add(Role.VIEWER)
    signer = people.server.services.accounts.auth.sessions._signer
    read = signer.read(viewer.token, people.server.services.runs.now())
    assert read is not None
    raised = signer.sign(msgspec.structs.replace(read, role="admin"))
    async with people.client(raised) as client:
        assert (await client.get("/users")).status_code == 403
    assert SECRET not in raised


# -- callers with grants -----------------------------------------------------------------------------------------------

# Routes without a DAG in their path: about the caller alone, or narrowed to what is granted; all others are closed.
NARROWED = {
    *((method, path) for method, path in MATRIX if path.startswith(("/auth/", "/sessions", "/tokens"))),
    *((method, path) for method, path in MATRIX if path.startswith("/services/") and path != "/services/figures"),
    *((method, path) for method, path in MATRIX if path.startswith(("/openapi.json", OUTSIDE))),
    ("GET", "/health"),
    ("GET", "/workers"),
    ("GET", "/hold"),
    ("GET", "/pause"),
    ("GET", "/overview"),
    ("GET", "/retention/preview"),
    ("GET", "/events"),
    ("GET", "/dags"),
    ("POST", "/dags"),  # which checks the name in its body
    ("POST", "/dags/validate"),
    ("GET", "/dags/search"),
    ("GET", "/dags/tags"),
    ("GET", "/schedules/upcoming"),
    ("GET", "/schedules/slots"),
    ("GET", "/schemas/dag"),
    ("GET", "/dag-runs"),
    ("GET", "/search"),
    ("GET", "/search/texts"),
    ("GET", "/approvals"),
    ("GET", "/approvals/count"),
    ("GET", "/approvals/decided"),
    ("GET", "/alert-channels"),
    ("GET", "/alert-channels/{channelName}"),
    *((method, path) for method, path in MATRIX if path.startswith(("/alert-rules", "/alerts", "/alert-deliveries"))),
    *((method, path) for method, path in MATRIX if path.startswith(("/triggers", "/batches", "/hooks", "/webhooks"))),
    ("GET", "/queues"),
    ("GET", "/queues/{name}/items"),
}
CLOSED = {
    *((method, path) for method, path in MATRIX if path.startswith(("/users", "/groups", "/grants", "/audit"))),
    *((method, path) for method, path in MATRIX if path.startswith("/queues/") and method != "GET"),
    *((method, path) for method, path in MATRIX if path.startswith("/sources")),
    *((method, path) for method, path in MATRIX if path.startswith("/alert-channels") and method != "GET"),
    ("GET", "/metrics"),
    ("GET", "/services/figures"),  # which counts the runs of all DAGs
    ("GET", "/doctor"),
    ("POST", "/secrets/rekey"),
    ("POST", "/retention/cleanup"),
    ("POST", "/hold/resume"),
    ("PUT", "/pause"),
    ("DELETE", "/pause"),
    ("POST", "/dag-runs"),
    ("POST", "/dag-runs/enqueue"),
}
# What a token that is limited to DAGs may not do, since it is about its user.
OF_USER = {route for route in MATRIX if route[1].startswith(("/sessions", "/tokens", "/auth/change-password"))}
FIXED_NAMES = {(method, path) for method, path in MATRIX if path in ("/dags/validate", "/dag-runs/enqueue")} | {
    (method, path) for method, path in MATRIX if path in ("/dags/search", "/dags/tags")
}
OF_A_DAG = {
    *((method, path) for method, path in MATRIX if path.startswith(("/dags/{fileName}", "/dag-runs/{name}"))),
    *(FIXED_NAMES - NARROWED - CLOSED),
}
GRANTED = {
    "nothing granted": None,
    "granted viewer": {USERS},
    "granted operator": {USERS, OPERATORS},
    "granted manager": {USERS, OPERATORS, MANAGERS},
    "viewer's token of a granted manager": {USERS},
    "token of an admin for one DAG": {USERS, OPERATORS, MANAGERS},
}


@pytest.mark.always
def test_every_route_has_a_cell_for_callers_with_grants() -> None:
    assert not NARROWED & CLOSED
    assert set(MATRIX) == NARROWED | CLOSED | OF_A_DAG
    assert not (NARROWED | CLOSED) & OF_A_DAG


def granted_status(who: str, route: tuple[str, str]) -> int | None:
    """The status that refuses, 404 for a DAG that is not seen, or None."""
    may = GRANTED[who]
    if route in CLOSED:
        return 403
    if route in NARROWED and MATRIX[route][0] == FRESH and "token" in who:
        return 403
    if route in OF_USER and who == "token of an admin for one DAG":
        return 403
    if route in NARROWED:
        # Whether the DAG is one of the caller's is said when the request names it; a token for viewers never may.
        of_body = ("/alert", "/triggers", "/batches")
        checks = route == ("POST", "/dags") or (route[0] != "GET" and route[1].startswith(of_body))
        checks |= route[1].endswith("/body")
        return 403 if checks and "viewer's token" in who else None
    if may is None:
        return 404
    return None if MATRIX[route][0] in may else 403


@pytest.fixture(scope="session")
async def granted(people: People) -> dict[str, Credential]:
    """The credentials of callers with grants for DAGs of fixed names, which have runs so that their names stay."""
    services = people.server.services
    async with people.client((admin := await people.add(Role.ADMIN)).token) as client:
        for name in ("matrix", "validate", "search", "tags", "enqueue"):
            assert (await client.post(f"/queues/{name}/pause")).is_success
            body = {"name": name, "spec": "steps: [{name: a, command: 'true'}]"}
            assert (await client.post("/dag-runs/enqueue", json=body)).is_success
    made: dict[str, Credential] = {}
    for role in (None, Role.VIEWER, Role.OPERATOR, Role.MANAGER):
        person = await people.add(Role.ADMIN)
        if role is not None:
            wish = GrantRequest(user_id=person.id, role=role, pattern="*")
            await services.accounts.auth.access.create_grant(wish, ROOT)
        await services.accounts.auth.users.update(person.id, UserChanges(scope=UserScope.GRANTED), ROOT)
        made[f"granted {role}" if role else "nothing granted"] = person.token
    made["viewer's token of a granted manager"] = await personal(people, person.name, Role.VIEWER)
    made["token of an admin for one DAG"] = await personal(
        people, admin.name, Role.ADMIN, dags=["matrix", "validate", "search", "tags", "enqueue"]
    )
    return made


@pytest.mark.parametrize("who", GRANTED)
async def test_callers_with_grants_may_do_what_the_grants_say(
    people: People, granted: dict[str, Credential], who: str
) -> None:
    found = {}
    async with people.client(granted[who]) as client:
        for method, path in ASKED:
            named = re.sub(r"(?<=^/dags/)\{fileName\}|(?<=^/dag-runs/)\{name\}", "matrix", path)
            answer = await ask(client, (method, named))
            is_missing = who == "nothing granted" and (method, path) in OF_A_DAG and answer.status_code == 404
            found[method, path] = 404 if is_missing else refusal_of(answer)
    assert found == {route: 401 if route in HOOKS else granted_status(who, route) for route in ASKED}
