"""What goes around every request: its number, headers for browsers, counts, a line in the log."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar.types import Receive, Scope, Send
from prometheus_client import CollectorRegistry

from dagbook.api.middleware.request_context import API_POLICY, RequestContextMiddleware
from dagbook.main import API_PATH, Server
from dagbook.runs.runner.step_executor import StepExecutor
from dagbook.telemetry.logging import configure, request_id
from dagbook.telemetry.metrics import UNKNOWN, RequestMetrics
from dagbook.web import pages
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.people import People
from tests.waiting import wait_until

ROOT = f"http://localhost{API_PATH}"


@pytest.fixture
def log() -> io.StringIO:
    stream = io.StringIO()
    configure("json", "info", stream)
    return stream


def _lines(log: io.StringIO, number: str) -> list[dict[str, Any]]:
    """Return the lines of one request; other tests' servers write into the same log."""
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in found if line.get("request_id") == number]


# -- number ----------------------------------------------------------------------------------------------------------


async def test_the_number_of_a_request_comes_back(client: httpx.AsyncClient) -> None:
    for number in ("a", "0199-B.c_d", "x" * 64):
        assert (await client.get("/health", headers={"X-Request-Id": number})).headers["x-request-id"] == number


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", 'a"b', "a=b", "ä"])
async def test_a_request_without_a_number_that_will_do_is_given_one(
    client: httpx.AsyncClient, given: str | None
) -> None:
    headers = httpx.Headers([] if given is None else [(b"X-Request-Id", given.encode())])
    one, other = [(await client.get("/health", headers=headers)).headers["x-request-id"] for _ in range(2)]
    assert one != other
    assert len(one) == 16
    assert given not in (one, other)


async def test_of_two_numbers_none_counts(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    assert answer.headers["x-request-id"] not in ("a", "b")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("PATCH", "/health", {}, 405),
        ("POST", "/dag-runs", {}, 400),
        ("GET", "/health/", {}, 301),
        ("GET", "/health", {"Host": "evil.example"}, 403),
        ("GET", "/health", {"Host": "[evil"}, 403),
        ("POST", "/dag-runs", {"Content-Encoding": "gzip"}, 415),
        ("OPTIONS", "/dags", {}, 204),
    ],
)
async def test_every_answer_has_a_number_and_the_headers_for_browsers(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await client.request(method, path, headers={**headers, "X-Request-Id": "mine"})
    assert answer.status_code == status
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == API_POLICY
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "strict-transport-security" not in answer.headers


def test_no_policy_lets_what_stands_inside_a_page_run() -> None:
    for policy in (API_POLICY, pages.POLICY, pages.LOOPBACK_POLICY):
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy


async def test_strict_transport_is_asked_for_over_tls_alone_and_not_on_loopback(server: Server) -> None:
    transport = httpx.ASGITransport(server.app)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
    async with httpx.AsyncClient(transport=transport) as client:
        for url, said in (("https://dags.example", True), ("http://dags.example", False), ("https://localhost", False)):
            answer = await client.get(f"{url}{API_PATH}/health")
            assert ("strict-transport-security" in answer.headers) is said, url


# -- an application of the test's own, for what ours does not do ----------------------------------------------------


async def _ask(app: Any, path: str = "/x", **settings: Any) -> httpx.Response:
    envelope = RequestContextMiddleware(
        app, RequestMetrics(CollectorRegistry()), **{"log": "on", "varies": False, **settings}
    )
    transport = httpx.ASGITransport(envelope, raise_app_exceptions=False)  # type: ignore[arg-type]  # as above
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path)


async def test_a_failure_outside_of_the_framework_is_an_answer_all_the_same(log: io.StringIO) -> None:
    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("of its own making")

    answer = await _ask(fail)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-content-type-options"] == "nosniff"
    failure, line = _lines(log, answer.headers["x-request-id"])
    assert "of its own making" in failure["exception"]
    assert line["status"] == 500
    assert "making" not in answer.text


async def test_the_page_of_the_login_of_commands_alone_may_send_a_form_to_this_machine(server: Server) -> None:
    transport = httpx.ASGITransport(server.app)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        policies = {
            path: (await client.get(path)).headers["content-security-policy"] for path in ("/dags", "/cli-login")
        }
    assert "form-action 'self'; " in policies["/dags"]
    assert "form-action 'self' http://127.0.0.1:*; " in policies["/cli-login"]


async def test_a_page_keeps_a_policy_of_its_own() -> None:
    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"Content-Security-Policy", pages.POLICY.encode()), (b"Vary", b"Cookie")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    answer = await _ask(page)
    assert answer.headers.get_list("content-security-policy") == [pages.POLICY]
    assert answer.headers.get_list("vary") == ["Cookie"]
    assert (await _ask(page, varies=True)).headers.get_list("vary") == ["Cookie", "Origin"]


async def test_outside_of_requests_there_is_no_number(client: httpx.AsyncClient) -> None:
    await client.get("/health")
    assert request_id.get() == ""


# -- log -------------------------------------------------------------------------------------------------------------


async def test_a_request_is_a_line_without_its_query_and_its_headers(people: People, log: io.StringIO) -> None:
    person = await people.add("viewer")
    async with people.client(person.token) as client:
        headers = {"X-Request-Id": "line-1", "Cookie": "a=topsecret"}
        await client.get("/dags/some.thing", params={"token": "topsecret"}, headers=headers)
    (line,) = _lines(log, "line-1")
    assert line.pop("time")
    assert line.pop("ms") >= 0
    assert line == {
        "level": "info",
        "logger": "dagbook.request",
        "message": "request",
        "request_id": "line-1",
        "method": "GET",
        "path": f"{API_PATH}/dags/some.thing",
        "route": f"{API_PATH}/dags/{{fileName}}",
        "status": 404,
        "caller": person.name,
        "address": "127.0.0.1",
    }
    assert "topsecret" not in log.getvalue()
    assert person.token not in log.getvalue()


async def test_what_is_logged_within_a_request_carries_its_number(people: People, log: io.StringIO) -> None:
    async with people.client() as client:
        await client.post(
            "/auth/login", json={"username": "nobody", "password": "x"}, headers={"X-Request-Id": "line-2"}
        )
    failed, line = _lines(log, "line-2")
    assert failed["logger"] == "dagbook.accounts.logins"
    assert (line["status"], line["caller"]) == (401, "-")


async def test_a_refusal_before_any_route_is_a_line_too(client: httpx.AsyncClient, log: io.StringIO) -> None:
    await client.get("/dags", headers={"Host": "evil.example", "X-Request-Id": "line-3"})
    (line,) = _lines(log, "line-3")
    assert (line["status"], line["route"]) == (403, UNKNOWN)


async def test_a_run_does_not_go_on_under_the_number_of_the_request_that_began_it(
    dagbook: Dagbook, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, execute = [], StepExecutor.execute

    async def note(executor: StepExecutor, *arguments: Any) -> None:
        seen.append(request_id.get())
        await execute(executor, *arguments)

    # A step is executed in a task of the runner; nothing that it logs by itself happens in every run.
    monkeypatch.setattr(StepExecutor, "execute", note)
    dagbook.client.headers["X-Request-Id"] = "line-4"
    await dagbook.run("steps: [echo]\n")
    del dagbook.client.headers["X-Request-Id"]
    assert seen == [""]
    assert _lines(log, "line-4")


@pytest.fixture(params=["on", "off", "all"])
async def logging_client(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    home = tmp_path_factory.mktemp("home")
    async with serving(database_url, home, request_log=request.param) as server, client_of(server) as client:
        yield request.param, client


async def test_a_setting_says_which_requests_are_lines(
    logging_client: tuple[str, httpx.AsyncClient], log: io.StringIO
) -> None:
    mode, client = logging_client
    for path in ("/health", "/metrics", "/dags", "/nothing"):
        await client.get(path, headers={"X-Request-Id": "line-5"})
    told = [line["path"].removeprefix(API_PATH) for line in _lines(log, "line-5")]
    expected = {"on": ["/dags", "/nothing"], "off": [], "all": ["/health", "/metrics", "/dags", "/nothing"]}
    assert told == expected[mode]


# -- counts ----------------------------------------------------------------------------------------------------------


async def _counted(client: httpx.AsyncClient) -> dict[str, float]:
    page = (await client.get("/metrics")).text
    pairs = (line.rpartition(" ") for line in page.splitlines() if line.startswith("dagbook_http_"))
    return {key: float(value) for key, _, value in pairs}


async def test_requests_are_counted_by_route_and_status(client: httpx.AsyncClient, name: str) -> None:
    key = f'{{method="GET",route="{API_PATH}/dags/{{fileName}}",status="404"}}'
    before = await _counted(client)
    for number in range(3):
        await client.get(f"/dags/{name}{number}")
    after = await _counted(client)
    found = f"dagbook_http_requests_total{key}"
    assert after[found] - before.get(found, 0) == 3
    took = f'dagbook_http_request_duration_seconds_count{{method="GET",route="{API_PATH}/dags/{{fileName}}"}}'
    assert after[took] - before.get(took, 0) == 3


async def test_paths_and_methods_that_are_made_up_make_no_new_series(client: httpx.AsyncClient, name: str) -> None:
    for number in range(5):
        await client.get(f"/{name}{number}")
        await client.request(f"{name}{number}".upper(), "/health")
    counted = await _counted(client)
    assert not [key for key in counted if name.lower() in key.lower()]
    assert any(f'route="{UNKNOWN}"' in key for key in counted)
    assert any(f'method="{UNKNOWN}"' in key for key in counted)


async def test_the_line_of_a_stream_comes_at_its_end(log: io.StringIO) -> None:
    told_while_it_ran = []

    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for more in (True, True, False):
            await send({"type": "http.response.body", "body": b"x", "more_body": more})
            told_while_it_ran.append(log.getvalue())

    answer = await _ask(stream)

    async def is_told() -> bool:
        return bool(_lines(log, answer.headers["x-request-id"]))

    await wait_until(is_told)
    assert told_while_it_ran == [""] * 3
