"""``remoteNode``: requests that are handed on to other servers (api-behaviour 5), with real ones on loopback."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.api.middleware import remote_nodes
from dagbook.api.middleware.request_context import NODE_PARAMETER as PARAMETER
from dagbook.auth.roles import Role
from dagbook.main import API_PATH
from tests.app.dagbook import client_of, serving
from tests.app.loopback import listening
from tests.app.people import People, Person, code_of, serving_people
from tests.app.test_matrix import MANAGEMENT, MATRIX
from tests.certificates import make_certificate
from tests.conftest import Copies
from tests.executors.web import Web, plain
from tests.waiting import PATIENCE_SECONDS

SPEC = "steps: [{command: 'true'}]\n"
ON = {PARAMETER: "far"}
JSON = "Content-Type: application/json"


class Pair:
    """A server and the node behind it; ``web`` is a node that answers what a test wants."""

    def __init__(self, near: People, far: People, person: Person, web: Web) -> None:
        self.near = near
        self.far = far
        self.person = person  # whom the far server takes the near one for
        self.web = web


@pytest.fixture(scope="module")
async def web() -> AsyncIterator[Web]:
    web = Web()
    await web.start()
    yield web
    await web.stop()


@pytest.fixture(scope="module")
async def pair(copies: Copies, tmp_path_factory: pytest.TempPathFactory, web: Web) -> AsyncIterator[Pair]:
    """Two servers with users and databases of their own; the near one knows a manager of the far one."""
    async for far_url in copies.copy():
        async with serving_people(far_url, tmp_path_factory.mktemp("far")) as far, listening(far.server) as address:
            person = await far.add(Role.MANAGER)
            async for near_url in copies.copy():
                with socket.create_server(("127.0.0.1", 0)) as unused:
                    dead = unused.getsockname()[1]
                nodes = [
                    {"name": "far", "url": address, "auth": "token", "token": person.token},
                    {"name": "stranger", "url": address, "auth": "token", "token": "unknown"},
                    {"name": "dead", "url": f"http://127.0.0.1:{dead}/api/v2"},
                    {"name": "nowhere", "url": "http://nowhere.invalid/api/v2"},
                    {"name": "web", "url": f"{web.url}/api", "auth": "basic", "username": "u", "password": "p"},
                    {"name": "slow", "url": f"{web.url}/api", "timeout_seconds": 0.05},
                ]
                home = tmp_path_factory.mktemp("near")
                async with serving_people(near_url, home, remote_nodes=json.dumps(nodes)) as near:
                    yield Pair(near, far, person, web)


@pytest.fixture
async def near(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may do everything at the near server."""
    admin = await pair.near.add(Role.ADMIN)
    async with pair.near.client(admin.token) as client:
        yield client


@pytest.fixture
async def far(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    async with pair.far.client(pair.person.token) as client:
        yield client


# -- what is handed on -----------------------------------------------------------------------------------------------


async def test_a_dag_is_made_read_run_and_removed_at_the_node(
    near: httpx.AsyncClient, far: httpx.AsyncClient, name: str
) -> None:
    made = await near.post("/dags", params=ON, json={"name": name, "spec": SPEC})
    assert made.status_code == 201
    assert (await near.get(f"/dags/{name}")).status_code == 404
    assert (await far.get(f"/dags/{name}")).status_code == 200
    started = await near.post(f"/dags/{name}/start", params=ON, json={"dagRunId": "r1"})
    assert (started.status_code, started.json()) == (200, {"dagRunId": "r1"})
    found = await near.get(f"/dags/{name}/dag-runs/r1", params=ON)
    assert (found.status_code, found.json()["dagRun"]["name"]) == (200, name)
    gone = await near.delete(f"/dags/{name}", params=ON)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await far.get(f"/dags/{name}")).status_code == 404


async def test_what_a_node_has_done_is_an_entry_at_both_servers_under_one_request(
    near: httpx.AsyncClient, pair: Pair, name: str
) -> None:
    made = await near.post("/dags", params=ON, json={"name": name, "spec": SPEC})
    await near.get(f"/dags/{name}", params=ON)
    await near.post("/dags", params=ON, json={"name": name, "spec": SPEC})  # it is there already
    query = {"requestId": made.headers["x-request-id"]}
    (here,) = (await near.get("/audit", params=query)).json()["entries"]
    admin = await pair.far.add(Role.ADMIN)
    async with pair.far.client(admin.token) as client:
        (there,) = (await client.get("/audit", params=query)).json()["entries"]
    assert (here["action"], here["after"], there["action"]) == ("dag.create", {"remoteNode": "far"}, "dag.create")
    assert (here["actor"] != there["actor"], there["actor"], there["object"]) == (True, pair.person.name, name)
    assert len((await near.get("/audit", params={"actor": here["actor"], "action": "dag."})).json()["entries"]) == 1


async def test_the_query_is_handed_on_without_the_node(near: httpx.AsyncClient, pair: Pair) -> None:
    pair.web.answers["/api/dags"] = plain(200, "{}", JSON)
    query = "name=a%20b&tag=%C3%A4&remoteNode=web&page=2"
    await near.get(httpx.URL(f"http://localhost{API_PATH}/dags?{query}"))
    assert pair.web.asked[-1].target == "/api/dags?name=a%20b&tag=%C3%A4&page=2"
    await near.get(httpx.URL(f"http://localhost{API_PATH}/dags?%72emoteNode=web"))
    assert pair.web.asked[-1].target == "/api/dags"


@pytest.mark.parametrize("step", ["say%20hello%3F%25", "build%2Ftest", "%7Bx%7D", "%20.."])
async def test_names_in_the_path_arrive_as_they_were_written(near: httpx.AsyncClient, pair: Pair, step: str) -> None:
    path = f"/dag-runs/a/b/steps/{step}/log"
    pair.web.answers["/api" + path] = plain(200, "{}", JSON)
    answer = await near.get(httpx.URL(f"http://localhost{API_PATH}{path}?remoteNode=web&stream=stderr"))
    assert answer.status_code == 200
    assert pair.web.asked[-1].target == f"/api{path}?stream=stderr"


@pytest.mark.parametrize(
    "path",
    ["/dag-runs/%2e%2e/users", "/dags/%2e%2e", "/dags/%2E/spec", "/dag-runs/a/b/steps/x%2F..%2F..%2Fstop/log"],
)
async def test_no_path_leads_around_the_guard(near: httpx.AsyncClient, pair: Pair, path: str) -> None:
    before = len(pair.web.asked)
    raw = f"{API_PATH}{path}?remoteNode=web".encode()
    answer = await near.get(httpx.URL("http://localhost").copy_with(raw_path=raw))
    assert answer.status_code in (400, 404)
    assert len(pair.web.asked) == before


async def test_the_node_sees_its_own_credentials_and_none_of_the_caller_s(near: httpx.AsyncClient, pair: Pair) -> None:
    pair.web.answers["/api/dags"] = plain(200, "{}", JSON, "Set-Cookie: a=from-the-node; Path=/")
    theirs = {"Cookie": "oidcToken=topsecret", "X-Api-Key": "topsecret", "TE": "trailers", "Keep-Alive": "topsecret"}
    for _ in range(2):
        answer = await near.get("/dags", params={PARAMETER: "web"}, headers={**theirs, "X-Request-Id": "mine"})
    seen = pair.web.asked[-1].headers
    assert seen["authorization"] == "Basic dTpw"
    assert "cookie" not in seen
    assert "topsecret" not in json.dumps(seen)
    assert near.headers["authorization"] not in json.dumps(seen)
    assert (seen["x-request-id"], seen["via"], seen["accept-encoding"]) == ("mine", "1.1 dagbook", "identity")
    assert "set-cookie" not in answer.headers


async def test_a_revision_s_tag_goes_there_and_back(near: httpx.AsyncClient, name: str) -> None:
    await near.post("/dags", params=ON, json={"name": name, "spec": SPEC})
    tag = (await near.get(f"/dags/{name}/spec", params=ON)).headers["etag"]
    new = {"spec": "steps: [{command: date}]\n"}
    assert (await near.put(f"/dags/{name}/spec", params=ON, json=new, headers={"If-Match": tag})).status_code == 200
    answer = await near.put(f"/dags/{name}/spec", params=ON, json=new, headers={"If-Match": tag})
    assert code_of(answer) == (412, "bad_gateway")


# -- which operations ------------------------------------------------------------------------------------------------


# All but those about people, the live feed, which would outlive a void token, the description of the API, and hooks,
# whose senders are known to one server: the contract's 38 are among them.
HANDED_ON = sorted(
    (method, path)
    for method, path in MATRIX
    if path.startswith("/") and not path.startswith((*MANAGEMENT, "/events", "/openapi", "/hooks", "/webhooks"))
)


@pytest.mark.parametrize(("method", "path"), HANDED_ON)
async def test_every_operation_with_the_parameter_is_handed_on(
    near: httpx.AsyncClient, pair: Pair, method: str, path: str
) -> None:
    path = re.sub(r"\{[^}]*\}", "x", path)
    pair.web.answers[f"/api{path}"] = plain(200, '{"from": "the node"}', JSON)
    answer = await near.request(method, path, params={PARAMETER: "web"})
    assert (answer.status_code, answer.json()) == (200, {"from": "the node"})
    assert (pair.web.asked[-1].method, pair.web.asked[-1].target) == (method, f"/api{path}")


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_what_is_public_here_is_not_asked_of_a_node_by_just_anybody(
    near: httpx.AsyncClient, pair: Pair, path: str
) -> None:
    assert (await near.get(path, params=ON)).status_code == 200
    async with pair.near.client() as nobody:
        assert code_of(await nobody.get(path, params=ON)) == (401, "unauthorized")
        own = await nobody.get(path, params={PARAMETER: "local"})
        assert own.status_code == (200 if path == "/health" else 401)


@pytest.mark.parametrize("path", ["/users", "/sessions", "/tokens", "/groups", "/grants", "/dags/x/access", "/auth/me"])
async def test_people_are_not_managed_elsewhere(pair: Pair, path: str) -> None:
    admin = await pair.near.add(Role.ADMIN)
    async with pair.near.client(admin.token) as client:
        answer = await client.get(path, params=ON)
    assert code_of(answer) == (400, "bad_request")
    assert "remoteNode" in answer.json()["message"]


# -- who may ---------------------------------------------------------------------------------------------------------


async def test_the_credentials_of_the_node_give_no_right_that_is_lacking_here(pair: Pair, name: str) -> None:
    viewer = await pair.near.add(Role.VIEWER)
    before = len(pair.web.asked)
    async with pair.near.client(viewer.token) as client:
        for method, path in (("POST", "/dags"), ("DELETE", f"/dags/{name}"), ("POST", f"/dags/{name}/start")):
            for node in ("web", "nobody"):
                answer = await client.request(method, path, params={PARAMETER: node}, content=b"{")
                assert code_of(answer) == (403, "forbidden")
        assert (await client.get("/dags", params=ON)).status_code == 200
    async with pair.near.client() as nobody:
        assert code_of(await nobody.get("/dags", params={PARAMETER: "web"})) == (401, "unauthorized")
    assert len(pair.web.asked) == before


async def test_a_switch_that_is_off_here_holds_for_nodes_too(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, web: Web
) -> None:
    nodes = json.dumps([{"name": "web", "url": f"{web.url}/api"}])
    home = tmp_path_factory.mktemp("home")
    async with (
        serving(database_url, home, remote_nodes=nodes, permissions_run_dags="false") as server,
        client_of(server) as client,
    ):
        assert code_of(await client.post("/dags/x/start", params={PARAMETER: "web"})) == (403, "forbidden")


# -- what goes wrong -------------------------------------------------------------------------------------------------


async def test_a_node_that_is_not_known_is_refused_by_name(near: httpx.AsyncClient) -> None:
    answer = await near.get("/dags", params={PARAMETER: "nobody"})
    assert code_of(answer) == (400, "bad_request")
    assert "nobody" in answer.json()["message"]
    answer = await near.get("/dags?remoteNode=far&remoteNode=web")
    assert code_of(answer) == (400, "bad_request")


@pytest.mark.parametrize(("node", "reason"), [("dead", "refused"), ("nowhere", "not known")])
async def test_a_node_that_cannot_be_reached_is_told(near: httpx.AsyncClient, node: str, reason: str) -> None:
    answer = await near.get("/dags", params={PARAMETER: node})
    assert code_of(answer) == (502, "remote_node_error")
    assert f"'{node}'" in answer.json()["message"]
    assert reason in answer.json()["message"]


async def test_a_node_that_does_not_answer_is_given_up(near: httpx.AsyncClient, pair: Pair) -> None:
    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    pair.web.answers["/api/dags"] = wait
    answer = await near.get("/dags", params={PARAMETER: "slow"})
    assert code_of(answer) == (502, "remote_node_error")


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"],
)
async def test_an_answer_that_breaks_off_is_told(near: httpx.AsyncClient, pair: Pair, answer: bytes) -> None:
    pair.web.answers["/api/dags"] = answer
    assert code_of(await near.get("/dags", params={PARAMETER: "web"})) == (502, "remote_node_error")


async def test_an_error_of_the_node_comes_with_its_status_and_message(near: httpx.AsyncClient, name: str) -> None:
    answer = await near.get(f"/dags/{name}", params=ON)
    assert code_of(answer) == (404, "bad_gateway")
    assert name in answer.json()["message"]
    assert code_of(await near.post("/dags", params=ON, json={})) == (400, "bad_gateway")


@pytest.mark.parametrize(
    ("status", "body", "seen", "message"),
    [
        (409, '{"code": "already_exists", "message": "it is there"}', 409, "it is there"),
        (500, "<html>oh</html>", 500, "node 'web' answered with status 500"),
        (503, '{"message": 7}', 503, "node 'web' answered with status 503"),
        (301, "", 502, "node 'web' answered with status 301"),
        (401, '{"code": "unauthorized", "message": "who are you?"}', 502, "who are you?"),
        (403, '{"code": "forbidden", "message": "not you"}', 502, "not you"),
    ],
)
async def test_the_status_of_an_error_is_passed_on_but_for_what_is_between_the_servers(
    near: httpx.AsyncClient, pair: Pair, status: int, body: str, seen: int, message: str
) -> None:
    pair.web.answers["/api/dags"] = plain(status, body, JSON, "Location: /elsewhere", "Retry-After: 7")
    answer = await near.get("/dags", params={PARAMETER: "web"})
    assert code_of(answer) == (seen, "bad_gateway")
    assert message in answer.json()["message"]


async def test_credentials_that_the_node_refuses_do_not_log_the_caller_out(near: httpx.AsyncClient) -> None:
    answer = await near.get("/dags", params={PARAMETER: "stranger"})
    assert code_of(answer) == (502, "bad_gateway")
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        (["Content-Type: text/html"], "<html>", "text/html"),
        (["Content-Type: text/event-stream"], "data: x\n\n", "text/event-stream"),
        ([], "{}", "without a content type"),
        ([JSON], '{"a": ', "not valid JSON"),
        ([JSON, "Content-Encoding: gzip"], "{}", "compressed"),
    ],
)
async def test_an_answer_that_is_none_of_the_api_is_refused(
    near: httpx.AsyncClient, pair: Pair, headers: list[str], body: str, message: str
) -> None:
    pair.web.answers["/api/dags"] = plain(200, body, *headers)
    answer = await near.get("/dags", params={PARAMETER: "web"})
    assert code_of(answer) == (502, "bad_gateway")
    assert message in answer.json()["message"]


async def test_a_stream_without_an_end_is_refused_and_let_go_of_at_once(near: httpx.AsyncClient, pair: Pair) -> None:
    gone = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
        await reader.read()
        gone.set()

    pair.web.answers["/api/dags"] = stream
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await near.get("/dags", params={PARAMETER: "web"})
        await gone.wait()
    assert code_of(answer) == (502, "bad_gateway")


async def test_an_answer_in_another_encoding_is_refused(near: httpx.AsyncClient, pair: Pair) -> None:
    async def answer_badly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n"\xff"')

    pair.web.answers["/api/dags"] = answer_badly
    answer = await near.get("/dags", params={PARAMETER: "web"})
    assert code_of(answer) == (502, "bad_gateway")


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"spec": "\xff"}', b"[" * 100_000])
async def test_a_body_that_is_no_json_does_not_leave_this_server(
    near: httpx.AsyncClient, pair: Pair, content: bytes
) -> None:
    before = len(pair.web.asked)
    answer = await near.post("/dags", params={PARAMETER: "web"}, content=content)
    assert code_of(answer) == (400, "bad_request")
    assert len(pair.web.asked) == before


async def test_a_body_over_the_limit_does_not_leave_this_server(near: httpx.AsyncClient, pair: Pair) -> None:
    before = len(pair.web.asked)
    answer = await near.post("/dags", params={PARAMETER: "web"}, content=b"[" + b" " * 5_000_000 + b"]")
    assert code_of(answer) == (413, "bad_request")
    assert len(pair.web.asked) == before


async def test_a_request_is_handed_on_once(near: httpx.AsyncClient) -> None:
    answer = await near.get("/dags", params={PARAMETER: "web"}, headers={"Via": "1.1 proxy, 1.1 dagbook"})
    assert code_of(answer) == (400, "bad_request")


async def test_a_server_that_is_its_own_node_answers_once(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}{API_PATH}"
    token = "t" * 24
    nodes = json.dumps([{"name": "self", "url": address, "auth": "token", "token": token}])
    asked = []
    ask = remote_nodes.RemoteNodes.send

    async def noted(
        self: remote_nodes.RemoteNodes, name: str, what: remote_nodes.NodeRequest
    ) -> remote_nodes.NodeResponse:
        asked.append(name)
        return await ask(self, name, what)

    monkeypatch.setattr(remote_nodes.RemoteNodes, "send", noted)
    async with (
        serving(database_url, tmp_path, remote_nodes=nodes, auth_token=token) as server,
        listening(server, listener),
        httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        answer = await client.get(f"{address}/dags", params={PARAMETER: "self"})
    assert (answer.status_code, answer.json()["dags"]) == (200, [])
    assert asked == ["self"]


async def test_a_node_without_authentication_takes_another_server_for_the_proxy_that_it_is(
    database_url: str, tmp_path: Path
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}{API_PATH}"
    nodes = json.dumps([{"name": "self", "url": address}])
    async with (
        serving(database_url, tmp_path, remote_nodes=nodes) as server,
        listening(server, listener),
        httpx.AsyncClient() as client,
    ):
        answer = await client.get(f"{address}/dags", params={PARAMETER: "self"})
    assert code_of(answer) == (502, "bad_gateway")
    assert "auth_token (another Dagbook sends the token of its remote_nodes)" in answer.json()["message"]


# -- long answers ----------------------------------------------------------------------------------------------------


def _long(pieces: int, *, ends: bool = True) -> Any:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(pieces):
            writer.write(b"10000\r\n" + b"0" * 65_536 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n" if ends else b"")

    return answer


@pytest.fixture
async def far_off(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """A client that reads from a real socket, piece by piece."""
    person = await pair.near.add(Role.VIEWER)
    async with (
        listening(pair.near.server) as address,
        httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {person.token}"}) as client,
    ):
        yield client


async def test_an_answer_too_long_to_be_held_passes_through(far_off: httpx.AsyncClient, pair: Pair) -> None:
    pair.web.answers["/api/dags"] = _long(40)
    answer = await far_off.get("/dags", params={PARAMETER: "web"})
    assert (answer.status_code, len(answer.content)) == (200, 40 * 65_536)


@pytest.mark.parametrize(("ends", "most"), [(False, 1 << 28), (True, 1 << 21)], ids=["breaks off", "goes on for ever"])
async def test_a_long_answer_that_does_not_end_well_does_not_look_whole(
    far_off: httpx.AsyncClient, pair: Pair, monkeypatch: pytest.MonkeyPatch, *, ends: bool, most: int
) -> None:
    monkeypatch.setattr(remote_nodes, "_MAX_BYTES", most)  # 256 MiB would take their time
    pair.web.answers["/api/dags"] = _long(40, ends=ends)
    with pytest.raises(httpx.RemoteProtocolError):
        await far_off.get("/dags", params={PARAMETER: "web"})


# -- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skipped", [True, False])
async def test_a_certificate_that_nobody_vouches_for_is_refused_unless_a_setting_says_so(
    database_url: str, tmp_path: Path, skipped: bool
) -> None:
    context, _ = make_certificate(tmp_path)
    web = Web()
    await web.start(context)
    web.answers["/api/dags"] = plain(200, "{}", JSON)
    nodes = json.dumps([{"name": "web", "url": f"{web.url}/api", "skip_tls_verify": skipped}])
    async with serving(database_url, tmp_path, remote_nodes=nodes) as server, client_of(server) as client:
        answer = await client.get("/dags", params={PARAMETER: "web"})
    await web.stop()
    if skipped:
        assert answer.status_code == 200
    else:
        assert code_of(answer) == (502, "remote_node_error")
        assert "skip_tls_verify" in answer.json()["message"]
