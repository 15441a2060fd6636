"""What was published against a server of this kind in 2026 must not be possible here (promises, section 5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dagbook.auth.roles import Role
from dagbook.main import API_PATH, Server, check_exposure
from dagbook.settings import SettingsError, read
from tests.app.attack import PATH, Attacker, fields
from tests.app.dagbook import client_of, serving
from tests.app.people import People, serving_people
from tests.app.program import CommandLine
from tests.app.test_matrix import EVERYBODY, MATRIX, ask, refusal_of, routes
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.always

TOUCH = "steps:\n  - name: a\n    command: touch {}\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "dags.example"])  # noqa: S104 - what is refused
def test_ghsa_6qr9_without_a_login_no_other_machine_is_served(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="without authentication"):
        check_exposure(read({"host": host}, {}, tmp_path))


async def test_ghsa_6qr9_nobody_unknown_runs_a_text_that_they_send(people: People, tmp_path: Path) -> None:
    file = tmp_path / "made"
    async with people.client() as client:
        for path in ("/dag-runs", "/dag-runs/enqueue"):
            answer = await client.post(path, json={"name": "x", "spec": TOUCH.format(file)})
            assert answer.status_code == 401
    assert not file.exists()


async def test_ghsa_6qr9_running_what_one_sends_is_another_right_than_running_what_exists(
    database_url: str, tmp_path: Path, name: str
) -> None:
    spec = "steps:\n  - name: a\n    command: 'true'\n"
    async with serving_people(database_url, tmp_path, inline_runs_need_write="true") as people:
        async with people.client((await people.add(Role.ADMIN)).token) as admin:
            assert (await admin.post("/dags", json={"name": name, "spec": spec})).status_code == 201
        async with people.client((await people.add(Role.OPERATOR)).token) as operator:
            assert (await operator.post(f"/dags/{name}/start", json={})).status_code == 200
            for path in ("/dag-runs", "/dag-runs/enqueue"):
                assert (await operator.post(path, json={"name": name, "spec": spec})).status_code == 403


@pytest.mark.parametrize("path", ["../escaped", "../../escaped", "/tmp/escaped", "a/../../escaped", "..\\escaped"])
async def test_cve_2026_27598_a_name_is_no_path(
    client: httpx.AsyncClient, tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    for body in ({"name": path}, {"name": path, "spec": TOUCH.format("x")}):
        answer = await client.post("/dags", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert not [*tmp_path_factory.getbasetemp().rglob("escaped*"), *Path("/tmp").glob("escaped*")]


async def test_ghsa_ph8x_an_encoded_slash_leads_nowhere_on_any_route(server: Server) -> None:
    attacker = Attacker(server, "", {})
    found = {}
    for field in fields(server, {"paths": {}}):
        # Pages are the same whatever they are about; a queue may be called anything that can be printed.
        if not field.route.startswith(API_PATH) or "/queues/" in field.route:
            continue
        if field.where != PATH or field.name not in ("fileName", "name", "dagRunId"):
            continue
        for value in (
            "..%2f..%2fetc%2fpasswd",
            "%2e%2e%2fquick",
            "..%5cquick",
            "%252e%252e%252fquick",
            "quick%2f..%2fx",
        ):
            answer = await attacker.try_field(field, value, raw=True)
            if answer.status not in (400, 401, 404, 405) and b'"dagRuns":[]' not in answer.content:
                found[f"{field} {value}"] = answer.status
    assert found == {}


@pytest.mark.parametrize("run_id", ["..", ".", "../x", "a/../..", "..\\..", "%2e%2e", "x/y"])
async def test_cve_2026_31886_an_id_of_a_run_is_no_path_that_is_cleaned_up(
    server: Server, client: httpx.AsyncClient, name: str, run_id: str
) -> None:
    home = server.supervisor._context.work_dir.parent
    before = {path.name for path in home.iterdir()}
    for path in ("/dag-runs", "/dag-runs/enqueue"):
        body = {"name": name, "spec": "steps:\n  - name: a\n    command: 'true'\n", "dagRunId": run_id}
        answer = await client.post(path, json=body)
        assert (answer.status_code, answer.json()["message"].split(":")[0]) == (400, "dagRunId")
    assert {path.name for path in home.iterdir()} >= before


@pytest.fixture
async def guarded(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    pair = {"auth_basic_username": "ann", "auth_basic_password": "pass:word"}
    async with serving(database_url, tmp_path, **pair) as server:
        yield server


async def test_cve_2026_31882_no_route_forgets_to_ask_who_calls(guarded: Server) -> None:
    async with client_of(guarded) as client:
        opened = {route for route in routes(guarded) if refusal_of(await ask(client, route)) is None}
        live = [
            await client.get(path, headers={"Accept": "text/event-stream"}) for path in ("/events/dags", "/dags/events")
        ]
    assert opened == {route for route, (least, _) in MATRIX.items() if least == EVERYBODY}
    assert {answer.status_code for answer in live} <= {401, 404}


# -- a server without authentication, which is for this machine alone -------------------------------------------------

PROXIES = [
    {"X-Forwarded-For": "203.0.113.9"},
    {"X-Forwarded-Proto": "https"},
    {"X-FORWARDED-SERVER": "front"},
    {"Forwarded": "for=203.0.113.9"},
    {"Via": "1.1 front"},
    {"Via": "1.1 front, 1.1 dagbook"},
    {"Via": "1.1 dagbook", "X-Forwarded-For": "203.0.113.9"},
    {"Via": "1.1 dagbook"},
    {"X-Forwarded": "for=203.0.113.9"},
    {"X-Real-IP": "203.0.113.9"},
    {"True-Client-IP": "203.0.113.9"},
    {"X-Client-IP": "203.0.113.9"},
    {"X-Cluster-Client-IP": "203.0.113.9"},
    {"Fastly-Client-IP": "203.0.113.9"},
    {"CF-Connecting-IP": "203.0.113.9"},
    {"CF-Ray": "1-FRA"},
    {"X-Envoy-External-Address": "203.0.113.9"},
    {"X-Amzn-Trace-Id": "Root=1"},
    {"X-Azure-ClientIP": "203.0.113.9"},
    {"X-Appengine-User-IP": "203.0.113.9"},
    {"X-Original-Host": "dags.example"},
    {"X-ProxyUser-Ip": "203.0.113.9"},
    {"X-Remote-Addr": "203.0.113.9"},
    {"CDN-Loop": "front"},
    {"X-Varnish": "1"},
]
# What clients of this machine send, and no proxy adds.
CLIENTS = [
    {"User-Agent": "curl/8.5.0", "Accept": "*/*"},
    {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/131.0",
        "Accept-Language": "en",
        "Accept-Encoding": "gzip, deflate, br",
        "Sec-Fetch-Site": "same-origin",
        "Sec-CH-UA-Platform": "Linux",
        "Upgrade-Insecure-Requests": "1",
        "DNT": "1",
        "Referer": "http://localhost/",
        "X-CSRF-Token": "x",
        "X-Dagbook-Idle": "1",
        "Priority": "u=1",
    },
    {"X-Request-Id": "one", "Traceparent": "00-1-1-01", "Last-Event-ID": "1", "If-Match": "1", "Expect": ""},
]


@pytest.mark.parametrize("headers", PROXIES)
@pytest.mark.parametrize("path", ["/dags", "/health", "/metrics"])
async def test_without_authentication_nothing_that_came_through_a_proxy_is_served(
    client: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "proxy" in answer.json()["message"]
    assert "insecure" in answer.json()["message"]


async def test_without_authentication_the_page_is_not_served_through_a_proxy_either(server: Server) -> None:
    async with client_of(server) as client:
        assert (await client.get("http://localhost/", headers=PROXIES[0])).status_code == 403


@pytest.mark.parametrize("headers", CLIENTS, ids=lambda headers: next(iter(headers.values())))
async def test_without_authentication_programs_and_browsers_of_this_machine_are_served(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await client.get("/dags", headers=headers)).status_code == 200


async def test_without_authentication_http_1_0_is_refused_as_that_of_a_proxy(tmp_path: Path) -> None:
    """nginx with ``proxy_pass`` alone asks like this: HTTP/1.0, the host of the upstream, and no header of its own."""
    body = b'{"name": "x", "spec": "steps: [{command: id}]"}'
    start = (
        b"POST /api/v2/dag-runs HTTP/1.%d\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    )
    answers = {}
    for mode in ("none", "builtin"):
        (tmp_path / mode).mkdir()
        line = CommandLine(tmp_path / mode, auth_mode=mode, auth_token_secret="s" * 40)
        async with line.server() as address:
            for version in (0, 1):
                answers[mode, version] = await raw(address, start % (version, len(body)) + body)
    assert {key: answer[9:12] for key, answer in answers.items()} == {
        ("none", 0): b"403", ("none", 1): b"200", ("builtin", 0): b"401", ("builtin", 1): b"401"
    }  # fmt: skip
    assert b"HTTP/1.0" in answers["none", 0].partition(b"\r\n\r\n")[2]
    assert b"auth_mode" in answers["none", 0]


async def raw(address: str, sent: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes the connection."""
    url = httpx.URL(address)
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(sent)
        try:
            return await reader.read()
        finally:
            writer.close()


async def test_with_authentication_proxies_are_served(people: People) -> None:
    admin = await people.add(Role.ADMIN)
    async with people.client(admin.token) as client:
        for headers in PROXIES:
            assert (await client.get("/dags", headers=headers)).status_code == 200


FORMS = [
    ("application/x-www-form-urlencoded", b"action=stop"),
    ("text/plain", b"a={}"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'),
    ("application/json", b"action=stop"),
]


@pytest.mark.parametrize(("kind", "body"), FORMS)
@pytest.mark.parametrize("path", ["/dags/none/start", "/dags/none/stop-all", "/queues/none/pause", "/dag-runs"])
async def test_without_authentication_a_form_changes_nothing(
    client: httpx.AsyncClient, path: str, kind: str, body: bytes
) -> None:
    answer = await client.post(path, content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "JSON" in answer.json()["message"]


async def test_a_text_form_that_imitates_json_changes_nothing_either(client: httpx.AsyncClient) -> None:
    answer = await client.post("/dags/none/stop-all", content=b'{"a=": }', headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_json_is_told_by_its_content_because_curl_calls_it_a_form(client: httpx.AsyncClient) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/dag-runs", content=b'{"name": "x", "spec": "steps: []"}', headers=kind)
    assert answer.status_code in (200, 400)
    assert (await client.post("/dags/none/stop-all", headers=kind)).status_code == 404


async def test_insecure_serves_proxies_and_forms(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, insecure="true") as server, client_of(server) as client:
        assert (await client.get("/dags", headers=PROXIES[0])).status_code == 200
        assert (await client.post("/dags/none/stop-all", content=b"a=b")).status_code == 404


# -- dequeue, a GET that changes something ----------------------------------------------------------------------------

CHROME = {"User-Agent": "Mozilla/5.0", "Accept-Language": "en"}
OWN = "http://localhost"


@pytest.mark.parametrize(
    "headers",
    [
        CHROME,
        {"User-Agent": "mozilla/4.0"},
        {"Accept-Language": "de"},
        {"Origin": "https://other.example"},
        {"Origin": "null"},
        {"Referer": "https://other.example/localhost/"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Referer": f"{OWN}/"},
        {"Authorization": "Basic eDp5", **CHROME},
    ],
)
async def test_a_page_of_another_site_dequeues_nothing(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/dag-runs/none/none/dequeue", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"User-Agent": "curl/8.0", "Accept": "*/*"},
        {"Authorization": "Bearer x", **CHROME},
        {"Origin": OWN, **CHROME},
        {"Referer": f"{OWN}/queues?x", **CHROME},
        {"Sec-Fetch-Site": "same-origin", **CHROME},
    ],
)
async def test_programs_and_the_own_page_dequeue(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/dag-runs/none/none/dequeue", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_page_of_a_dag_called_dequeue_can_be_opened(server: Server) -> None:
    async with client_of(server) as client:
        assert (await client.get("http://localhost/dags/dequeue", headers=CHROME)).status_code == 200


# -- what browsers keep ------------------------------------------------------------------------------------------------


async def test_no_response_of_the_api_is_kept_by_a_cache_and_etags_stay(client: httpx.AsyncClient, name: str) -> None:
    created = await client.post("/dags", json={"name": name, "spec": "steps:\n  - command: 'true'\n"})
    read = await client.get(f"/dags/{name}")
    missing = await client.get("/dags/none")
    for answer in (created, read, missing, await client.get("/health")):
        assert answer.headers["cache-control"] == "no-store"
    assert (await client.get(f"/dags/{name}/spec")).headers["etag"]
