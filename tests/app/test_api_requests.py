"""What holds for every request: hosts, origins, methods, paths, sizes, error bodies (api-behaviour 1)."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dagbook.main import API_PATH, Server
from dagbook.web import files
from tests.app.dagbook import client_of, serving
from tests.app.listening import listening
from tests.app.people import People

SPEC = "steps: [{command: 'true'}]\n"
START = {"spec": SPEC, "name": "door"}


def _error(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) <= {"code", "message", "details"}
    assert body["message"]
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, body["code"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "", "a@b", "[::2]"]
)
async def test_a_request_to_a_foreign_host_name_is_refused_even_when_it_reads(
    client: httpx.AsyncClient, host: str
) -> None:
    assert _error(await client.get("/health", headers={"Host": host})) == (403, "forbidden")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "localhost."]
)
async def test_every_name_of_this_machine_is_understood(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:9"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/dag-runs"), ("PUT", "/dags/x/spec"), ("DELETE", "/dags/x"), ("GET", "/dag-runs/a/b/dequeue")],
)
async def test_the_page_of_another_site_changes_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], method: str, path: str
) -> None:
    assert _error(await client.request(method, path, json=START, headers=headers)) == (403, "forbidden")


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}, {}], ids=str)
async def test_a_page_of_this_server_may_change_things(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    body = {"spec": SPEC, "name": "a b"}
    assert (await client.post("/dag-runs", json=body, headers=headers)).status_code == 400


async def test_no_other_origin_is_invited_by_default(client: httpx.AsyncClient) -> None:
    asking = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (await client.options("/dag-runs", headers=asking), await client.get("/dags", headers=asking)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.fixture
async def open_client(database_url: str, tmp_path_factory: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A server with another name, another origin, a base path and a small limit for bodies."""
    settings = {
        "allowed_hosts": "dags.example",
        "cors_origins": "https://ui.example",
        "base_path": "/flows",
        "max_body_bytes": "2048",
    }
    async with (
        serving(database_url, tmp_path_factory.mktemp("home"), **settings) as server,
        client_of(server) as client,
    ):
        client.base_url = httpx.URL(f"http://dags.example/flows{API_PATH}")
        yield client


async def test_settings_open_the_door_for_a_name_and_an_origin(open_client: httpx.AsyncClient) -> None:
    answer = await open_client.post("/dag-runs", json=START, headers={"Origin": "https://ui.example"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://ui.example"
    refused = await open_client.post("/dag-runs", json=START, headers={"Origin": "https://other.example"})
    assert _error(refused) == (403, "forbidden")


async def test_a_page_of_a_foreign_origin_is_told_what_a_proxy_has_to_pass_on(open_client: httpx.AsyncClient) -> None:
    refused = await open_client.post("/dag-runs", json=START, headers={"Origin": "http://dags.example:8443"})
    message = refused.json()["message"]
    assert message.startswith("a page of 'http://dags.example:8443' may not change anything at 'dags.example'")
    assert message.index("Host with its port") < message.index("trusted_proxies") < message.index("cors_origins")


@pytest.mark.parametrize("path", ["/flows", "/flows/", "/flows/dags", "/flows/dags/"])
async def test_a_base_path_leads_to_its_page_with_and_without_a_slash(
    open_client: httpx.AsyncClient, path: str
) -> None:
    url = f"http://dags.example{path}"
    answer = await open_client.get(url, headers={"Accept": "text/html"}, follow_redirects=path.startswith("/flows/d"))
    assert answer.status_code == 200  # the base path itself without a redirect: a proxy may have one the other way
    assert '<base href="/flows/">' in answer.text


def _preflight(origin: str, *headers: str, method: str = "POST") -> dict[str, str]:
    asked = {"Access-Control-Request-Headers": ", ".join(headers)} if headers else {}
    return {"Origin": origin, "Access-Control-Request-Method": method, **asked}


async def test_a_page_of_a_listed_origin_may_ask_before_it_asks(open_client: httpx.AsyncClient) -> None:
    asking = _preflight("https://ui.example", "content-type", "authorization", "if-match", "x-request-id")
    answer = await open_client.options("/dag-runs", headers=asking)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://ui.example"
    assert {"POST", "PUT", "PATCH", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    assert answer.headers["access-control-max-age"] == "300"
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "asking",
    [
        _preflight("https://other.example"),
        _preflight("http://ui.example"),
        _preflight("https://ui.example:8443"),
        _preflight("null"),
        _preflight("https://ui.example", "x-other"),
        _preflight("https://ui.example", method="TRACE"),
    ],
    ids=str,
)
async def test_a_page_that_asks_for_more_is_invited_to_nothing(
    open_client: httpx.AsyncClient, asking: dict[str, str]
) -> None:
    answer = await open_client.options("/dag-runs", headers=asking)
    assert answer.status_code == 400
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_an_error_can_be_read_by_a_page_of_a_listed_origin(open_client: httpx.AsyncClient) -> None:
    answer = await open_client.get("/dags/nothing", headers={"Origin": "https://ui.example"})
    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "https://ui.example"
    assert {"ETag", "X-Request-Id"} <= set(answer.headers["access-control-expose-headers"].split(", "))


async def test_answers_differ_with_the_page_that_asks_and_say_so(open_client: httpx.AsyncClient) -> None:
    for headers in ({}, {"Origin": "https://ui.example"}, {"Origin": "https://other.example"}):
        answer = await open_client.get("/dags", headers={**headers, "Cookie": "a=b"})
        assert sorted(answer.headers.get_list("vary")) == ["Accept-Encoding", "Origin"]
        assert "access-control-allow-credentials" not in answer.headers
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == (headers.get("Origin") if headers.get("Origin") == "https://ui.example" else None)


async def test_a_packed_body_is_refused_with_the_reason(client: httpx.AsyncClient) -> None:
    packed = gzip.compress(json.dumps(START).encode())
    answer = await client.post("/dag-runs", content=packed, headers={"Content-Encoding": "gzip"})
    assert _error(answer) == (415, "bad_request")
    plain = await client.post("/dags/validate", json={"spec": SPEC}, headers={"Content-Encoding": "identity"})
    assert plain.status_code == 200


@pytest.mark.parametrize("host", ["[", "[::1", "a]", "[x]:1"])
async def test_a_host_that_cannot_be_read_is_refused(client: httpx.AsyncClient, host: str) -> None:
    assert _error(await client.get("/health", headers={"Host": host})) == (403, "forbidden")
    headers = {"Origin": f"http://{host}"}
    assert _error(await client.post("/dag-runs", json=START, headers=headers)) == (403, "forbidden")


async def test_a_body_over_the_limit_is_refused(open_client: httpx.AsyncClient) -> None:
    answer = await open_client.post("/dag-runs", json={"spec": "#" * 3000, "name": "x"})
    assert _error(answer) == (413, "bad_request")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"#" * 100

    assert _error(await open_client.post("/dag-runs", content=chunks())) == (413, "bad_request")


async def test_a_body_in_pieces_is_read_whole(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in (b'{"spec": "st', b"eps: [{name: a, command: b}]", b'"}'):
            yield piece

    answer = await client.post("/dags/validate", content=chunks())
    assert answer.json()["valid"] is True


async def test_a_body_at_the_limit_is_read(open_client: httpx.AsyncClient) -> None:
    head = {"spec": "", "name": "x"}
    head["spec"] = "#" * (2048 - len(json.dumps(head)))
    answer = await open_client.post("/dag-runs", content=json.dumps(head))
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"spec": "\\ud800", "name": "x"}',
        b'{"spec": "\xff", "name": "x"}',
        b'{"spec": "a", }',
        b"[" * 100_000,
        b'"text"',
        b"1",
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    assert _error(await client.post("/dag-runs", content=content)) == (400, "bad_request")


@pytest.mark.parametrize("content", [b"\xff", b"NaN", b"spec=a"])
async def test_a_body_that_is_no_json_at_all_is_taken_for_a_form(client: httpx.AsyncClient, content: bytes) -> None:
    assert _error(await client.post("/dag-runs", content=content)) == (403, "forbidden")


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "/dags/validate", {"spec": 1}, "spec: must be a text, not a whole number"),
        ("POST", "/dags/validate", {"spec": "", "name": []}, "name: must be a text, not a list"),
        ("POST", "/dags/validate", {"name": "x"}, "spec: is missing"),
        ("POST", "/dags/validate", [], "body: must be an object, not a list"),
        ("PATCH", "/dag-runs/a/b/steps/c/status", {"status": "4"}, "status: must be a whole number, not a text"),
        ("PATCH", "/dag-runs/a/b/steps/c/status", {"status": 9}, "status: must be one of 0, 1, 2, 3, 4, 5, 6, not 9"),
        ("POST", "/dags/a/start", {"singleton": 1}, "singleton: must be true or false, not a whole number"),
        ("GET", "/dags?page=x", None, "page: must be a whole number, not a text"),
        ("GET", "/dag-runs?subRuns=all", None, "subRuns: must be one of exclude, include, only, not 'all'"),
        ("GET", "/dags?recent=21", None, "recent: must be at most 20"),
    ],
)
async def test_a_value_that_does_not_fit_is_named_with_what_would(
    client: httpx.AsyncClient, method: str, path: str, body: Any, message: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert _error(answer) == (400, "bad_request")
    assert answer.json()["message"] == message


@pytest.mark.parametrize(
    "kind", ["", "application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"]
)
async def test_a_body_is_json_whatever_its_type_says(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post("/dags/validate", content=json.dumps({"spec": SPEC}), headers={"Content-Type": kind})
    assert answer.json()["valid"] is True


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/dags", {"GET", "POST"}),
        ("/dags/x", {"GET", "DELETE"}),
        ("/dags/x/spec", {"GET", "PUT"}),
        ("/dags/x/start", {"POST"}),
        ("/dags/x/stop-all", {"POST"}),
        ("/dag-runs", {"GET", "POST"}),
        ("/dag-runs/x", {"GET"}),
        ("/dag-runs/x/y", {"GET"}),
        ("/dag-runs/x/y/stop", {"POST"}),
        ("/dag-runs/x/y/log", {"GET"}),
        ("/dag-runs/x/y/steps/z/log", {"GET"}),
        ("/health", {"GET"}),
        ("/openapi.json", {"GET"}),
    ],
)
async def test_a_method_that_is_not_there_is_refused_with_those_that_are(
    client: httpx.AsyncClient, path: str, allow: set[str]
) -> None:
    answer = await client.patch(path, json={})
    assert _error(answer) == (405, "bad_request")
    assert set(answer.headers["allow"].split(", ")) - {"OPTIONS"} == allow
    head = await client.head(path)
    assert head.status_code == (await client.get(path)).status_code
    assert (head.status_code == 405) is ("GET" not in allow)


@pytest.mark.parametrize(
    "path",
    [
        "http://localhost/",
        "http://localhost/dags",
        "http://localhost/nowhere",
        f"http://localhost/assets/{files.version()}/vendor/editor.js",
        "/health",
        "/dags?perPage=1",
        "/dag-runs",
        "/dag-runs/x/y/log",
        "/openapi.json",
        "/metrics",
        "/dags/no%2fname",
    ],
)
async def test_head_has_the_answer_of_get_without_its_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    own = {"x-request-id"} | ({"content-length"} if path == "/metrics" else set())  # counts this request
    assert head.content == b""
    assert get.content
    assert head.status_code == get.status_code
    assert {name: value for name, value in head.headers.items() if name not in own} == {
        name: value for name, value in get.headers.items() if name not in own
    }


async def test_head_asks_for_the_same_credentials_and_changes_nothing(people: People) -> None:
    viewer = await people.add("viewer")
    async with people.client() as stranger, people.client(viewer.token) as client:
        assert [(await each.head("/dags")).status_code for each in (stranger, client)] == [401, 200]
        assert (await client.head("/users")).status_code == 403
        for changing in ("/dag-runs/x/y/dequeue", "http://localhost/oidc-callback?code=x"):
            answer = await client.head(changing, headers={"User-Agent": "curl/8"})
            assert (answer.status_code, answer.headers.get("allow")) == (405, "GET, OPTIONS"), changing


async def test_head_of_a_stream_ends(server: Server) -> None:
    async with listening(server) as door:
        answer = await door.client.head("/events")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (await door.client.get("/health")).status_code == 200  # by the same connection


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/dags", {"GET", "POST"}),
        ("/dags/x", {"GET", "DELETE"}),
        ("/dags/x/spec", {"GET", "PUT"}),
        ("/users", {"GET", "POST"}),
        ("/users/x", {"GET", "PATCH", "PUT", "DELETE"}),
        ("/openapi.json", {"GET"}),
    ],
)
async def test_options_tell_all_methods_of_a_path(client: httpx.AsyncClient, path: str, allow: set[str]) -> None:
    answer = await client.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer.headers["allow"].split(", ")) == allow | {"OPTIONS"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path", ["", "/nothing", "/dags/x/nothing", "/dag-runs/a/b/c/d/e/f", "/schema", "/openapi.yaml"]
)
async def test_a_path_that_is_not_there_is_not_found(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, f"http://localhost{API_PATH}{path}")
    assert _error(answer) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (f"{API_PATH}/dags/", f"{API_PATH}/dags"),
        (f"{API_PATH}/dags/?page=2&name=a%20b", f"{API_PATH}/dags?page=2&name=a%20b"),
        (f"{API_PATH}/dags///", f"{API_PATH}/dags"),
        ("//evil.example/", "/evil.example"),
        ("/%5Cevil.example/", None),
        (f"{API_PATH}/dags/a%0D%0AX: y/", None),
        (f"{API_PATH}/dags/%C3%A4/", f"{API_PATH}/dags/%C3%A4"),
    ],
)
async def test_a_trailing_slash_is_redirected_to_this_server(
    client: httpx.AsyncClient, path: str, location: str | None
) -> None:
    answer = await client.get(httpx.URL("http://localhost").copy_with(raw_path=path.replace(" ", "%20").encode()))
    assert answer.status_code == 301
    assert re.fullmatch(r"/[!-~]*", answer.headers["location"])
    assert not answer.headers["location"].startswith(("//", "/\\"))
    assert location in (None, answer.headers["location"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dags"),
        ("GET", "/health"),
        ("POST", "/dag-runs"),
        ("GET", "/dag-runs/x"),
        ("POST", "/dags/x/start"),
        ("GET", "/dag-runs/x/y/steps/z/log"),
    ],
)
async def test_a_remote_node_that_is_not_known_is_refused(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path, params={"remoteNode": "elsewhere"}, json=START)
    assert _error(answer) == (400, "bad_request")
    assert "elsewhere" in answer.json()["message"]


async def test_the_local_node_may_be_named(client: httpx.AsyncClient) -> None:
    for node in ("local", ""):
        assert (await client.get("/dags", params={"remoteNode": node})).status_code == 200


async def test_health_tells_version_and_time(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "healthy")
    assert body["version"]
    assert body["uptime"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])


async def test_answers_are_json_in_utf8(client: httpx.AsyncClient) -> None:
    answer = await client.post("/dags/validate", json={"spec": "description: größer\n"})
    assert answer.headers["content-type"] == "application/json"
    assert "größer".encode() in answer.content
