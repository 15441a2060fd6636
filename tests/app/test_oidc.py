"""Logging in at an OpenID Connect provider (api-behaviour 2.2), against a real one on loopback."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import jwt
import pytest
from litestar import Litestar, get

from dagbook.accounts.auth_setup import check_authentication, choose_mode, find_provider, find_warnings
from dagbook.api import errors
from dagbook.api.auth.guards import make_guard
from dagbook.auth.roles import Requires
from dagbook.db.migrations.upgrade import upgrade
from dagbook.main import Server
from dagbook.settings import SettingsError, read
from tests.app.dagbook import client_of, serving
from tests.app.people import code_of
from tests.app.program import CommandResult
from tests.app.provider import CLIENT_ID, CLIENT_SECRET, Provider, begin, come_back, log_in, make_key, providing

COOKIE = "oidcToken"
STATIC = {"auth_token": "static"}


def settings_for(provider: Provider, **more: str) -> dict[str, str]:
    return {
        "auth_mode": "oidc",
        "auth_oidc_issuer": provider.issuer,
        "auth_oidc_client_id": CLIENT_ID,
        "auth_oidc_client_secret": CLIENT_SECRET,
        "auth_oidc_client_url": "http://localhost",
        **({} if "auth_oidc_whitelist" in more else {"auth_oidc_allow_everybody": "true"}),
        **more,
    }


@pytest.fixture(scope="module")
async def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database on one engine: none of this has to do with rows."""
    path = tmp_path_factory.mktemp("oidc") / "test.db"
    await upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def url(template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(template, tmp_path)}"


@asynccontextmanager
async def opened(url: str, home: Path, provider: Provider, **more: str) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(url, home, **settings_for(provider, **more)) as server, client_of(server) as client:
        yield client


@pytest.fixture(scope="module")
async def served(
    template: Path, tmp_path_factory: pytest.TempPathFactory, running: Provider
) -> AsyncIterator[dict[str, Server]]:
    """Two servers for all tests: one lets in everybody, the other two addresses."""
    choosy = {"auth_oidc_whitelist": "ann@example.org,bob@example.org"}
    async with AsyncExitStack() as stack:
        made = {}
        for name, more in (("open", {}), ("choosy", choosy)):
            home = tmp_path_factory.mktemp(name)
            url = f"sqlite:///{shutil.copy(template, home)}"
            made[name] = await stack.enter_async_context(serving(url, home, **settings_for(running, **more)))
        yield made


@pytest.fixture
async def client(served: dict[str, Server], provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    del provider  # it is to be honest again
    async with client_of(served["open"]) as made:
        yield made


def cookies_of(answer: httpx.Response) -> dict[str, Morsel[str]]:
    jar = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        jar.load(line)
    return dict(jar)


async def test_a_browser_is_sent_to_the_provider_with_state_nonce_and_challenge(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    answer = await begin(client)
    assert answer.status_code == 302
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{provider.issuer}/authorize"
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    cookies = cookies_of(answer)
    assert query == {
        "client_id": CLIENT_ID,
        "redirect_uri": "http://localhost/oidc-callback",
        "response_type": "code",
        "scope": "openid profile email",
        "state": cookies["state"].value,
        "nonce": cookies["nonce"].value,
        "code_challenge": query["code_challenge"],
        "code_challenge_method": "S256",
    }
    assert set(cookies) == {"state", "nonce", "originalURL", "codeVerifier"}
    assert cookies["codeVerifier"].value not in answer.headers["location"]
    for cookie in cookies.values():
        attributes = (cookie["path"], cookie["httponly"], cookie["samesite"].lower(), cookie["max-age"])
        assert attributes == ("/", True, "lax", "120")
        assert not cookie["secure"]


async def test_over_tls_the_cookies_are_for_tls_only(client: httpx.AsyncClient) -> None:
    answer = await client.get("https://localhost/oidc-login")
    assert all(cookie["secure"] for cookie in cookies_of(answer).values())


async def test_where_the_settings_say_tls_the_cookies_are_for_tls_only(
    url: str, tmp_path: Path, provider: Provider
) -> None:
    async with opened(url, tmp_path, provider, auth_oidc_client_url="https://localhost") as client:
        answer = await client.get("http://localhost/oidc-login")
    assert all(cookie["secure"] for cookie in cookies_of(answer).values())


async def test_what_a_proxy_that_is_not_listed_says_of_tls_does_not_count(client: httpx.AsyncClient) -> None:
    answer = await client.get("http://localhost/oidc-login", headers={"X-Forwarded-Proto": "https"})
    assert not any(cookie["secure"] for cookie in cookies_of(answer).values())


async def test_who_comes_back_is_let_in_and_sent_where_they_wanted_to_go(client: httpx.AsyncClient) -> None:
    assert code_of(await client.get("/dags")) == (401, "unauthorized")
    answer = await log_in(client)
    assert (answer.status_code, answer.headers["location"]) == (302, "/dags?page=2")
    cookies = cookies_of(answer)
    assert 0 < int(cookies[COOKIE]["max-age"]) <= 600
    assert {name for name, cookie in cookies.items() if cookie["max-age"] == "0"} == {
        "state",
        "nonce",
        "originalURL",
        "codeVerifier",
    }
    assert (await client.get("/dags")).status_code == 200
    assert set(client.cookies) == {COOKIE}


async def test_a_login_at_the_provider_is_an_entry_of_the_audit(client: httpx.AsyncClient) -> None:
    await log_in(client)
    newest = (await client.get("/audit", params={"action": "login.success", "limit": 1})).json()["entries"][0]
    assert (newest["actor"], newest["via"], newest["outcome"]) == ("ann@example.org", "oidc", "done")


async def test_who_came_in_may_do_everything_but_manage_users(client: httpx.AsyncClient, name: str) -> None:
    await log_in(client)
    assert (await client.post("/dags", json={"name": name})).status_code == 201
    assert code_of(await client.get("/users")) == (401, "unauthorized")
    assert code_of(await client.post("/auth/login", json={"username": "a", "password": "b"})) == (401, "unauthorized")


async def test_without_a_login_nothing_is_told_of_how_to_log_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/dags")
    assert answer.status_code == 401
    assert "www-authenticate" not in answer.headers
    assert "set-cookie" not in answer.headers


async def test_a_bad_cookie_is_refused_and_cleared(client: httpx.AsyncClient) -> None:
    client.cookies.set(COOKIE, "x.y.z")
    answer = await client.get("/dags")
    assert answer.status_code == 401
    assert cookies_of(answer)[COOKIE]["max-age"] == "0"


_A_DAY = 24 * 3600  # cases are made long before their tests run
FORGED: dict[str, dict[str, Any]] = {
    "expired": {"exp": int(time.time()) - 60},
    "without end": {"exp": None},
    "without subject": {"sub": None},
    "of another provider": {"iss": "https://id.example"},
    "for somebody else": {"aud": "another client"},
    "for several, first somebody else": {"aud": ["another client", CLIENT_ID]},
    "not yet valid": {"nbf": int(time.time()) + _A_DAY},
    "made in the future": {"iat": int(time.time()) + _A_DAY},
}


@pytest.mark.parametrize("name", FORGED)
async def test_an_id_token_that_does_not_hold_lets_nobody_in(
    client: httpx.AsyncClient, provider: Provider, name: str
) -> None:
    client.cookies.set(COOKIE, provider.id_token(**FORGED[name]))
    assert (await client.get("/dags")).status_code == 401


async def test_a_true_id_token_is_enough(client: httpx.AsyncClient, provider: Provider) -> None:
    client.cookies.set(COOKIE, provider.id_token())
    assert (await client.get("/dags")).status_code == 200


@pytest.mark.parametrize("how", ["another key", "our own secret", "none"])
async def test_only_the_provider_can_sign(client: httpx.AsyncClient, provider: Provider, how: str) -> None:
    if how == "another key":
        provider.signing_key = make_key()
    elif how == "our own secret":
        provider.signing_key, provider.algorithm = CLIENT_SECRET * 2, "HS256"
    token = provider.id_token()
    if how == "none":
        token = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "", algorithm="none")
    client.cookies.set(COOKIE, token)
    assert (await client.get("/dags")).status_code == 401


async def test_a_new_key_of_the_provider_is_fetched_but_not_at_every_request(url: str, tmp_path: Path) -> None:
    async with (
        providing() as provider,
        serving(url, tmp_path, **settings_for(provider)) as server,
        client_of(server) as client,
    ):
        provider.key, provider.key_id = make_key(), "second"
        client.cookies.set(COOKIE, provider.id_token())
        assert [(await client.get("/dags")).status_code for _ in range(3)] == [401] * 3
        assert provider.seen == ["keys"]
        oidc = server.services.accounts.auth.oidc
        assert oidc is not None
        oidc._keys_read_at -= 60
        client.cookies.set(COOKIE, provider.id_token())
        assert [(await client.get("/dags")).status_code for _ in range(3)] == [200] * 3
        assert provider.seen == ["keys", "keys"]


@pytest.mark.parametrize("missing", ["state", "nonce", "originalURL", "codeVerifier"])
async def test_who_did_not_begin_here_is_not_let_in(client: httpx.AsyncClient, missing: str) -> None:
    away = await begin(client)
    client.cookies.delete(missing)
    assert code_of(await come_back(client, away)) == (400, "bad_request")
    assert COOKIE not in client.cookies


async def test_a_code_of_another_login_is_of_no_use(client: httpx.AsyncClient) -> None:
    """A stolen code: state and nonce are known to the thief, the verifier is in the other browser's cookie."""
    away = await begin(client)
    client.cookies.delete("codeVerifier")
    client.cookies.set("codeVerifier", "of another login".ljust(43, "x"))
    assert code_of(await come_back(client, away)) == (400, "bad_request")
    assert COOKIE not in client.cookies


async def test_a_code_that_is_used_twice_is_refused_with_what_to_do(client: httpx.AsyncClient) -> None:
    away = await begin(client)
    cookies = dict(client.cookies)
    back = await come_back(client, away)
    assert back.status_code == 302
    client.cookies.clear()
    client.cookies.update(cookies)  # those of the same login, as in a second tab with its address
    again = await client.get(back.request.url)
    assert code_of(again) == (400, "bad_request")
    assert "start it again" in again.json()["message"]
    assert COOKIE not in client.cookies


@pytest.mark.parametrize("query", ["code=x&state=other", "code=x", "state=x", "", "error=access_denied"])
async def test_an_answer_that_was_not_asked_for_is_refused(client: httpx.AsyncClient, query: str) -> None:
    await begin(client)
    assert code_of(await client.get(f"http://localhost/oidc-callback?{query}")) == (400, "bad_request")


@pytest.mark.parametrize(
    "site",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "/a b"],
)
async def test_nobody_is_sent_to_another_site(client: httpx.AsyncClient, site: str) -> None:
    assert code_of(await begin(client, site)) == (400, "bad_request")
    away = await begin(client)
    client.cookies.delete("originalURL")
    client.cookies.set("originalURL", quote(site, safe=""))
    assert code_of(await come_back(client, away)) == (400, "bad_request")
    assert COOKIE not in client.cookies


async def test_a_token_made_for_another_login_is_refused(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.claims = {"nonce": "of somebody else"}
    assert code_of(await log_in(client)) == (500, "internal_error")
    assert COOKIE not in client.cookies


@pytest.mark.parametrize("part", ["token", "userinfo"])
async def test_a_provider_that_fails_is_said(client: httpx.AsyncClient, provider: Provider, part: str) -> None:
    provider.failing.add(part)
    answer = await log_in(client)
    assert code_of(answer) == (500, "internal_error")
    assert "the provider" in answer.json()["message"]


@pytest.mark.parametrize("claims", [{"aud": "somebody else"}, {"exp": int(time.time()) - 60}])
async def test_a_token_that_does_not_hold_is_refused_at_the_door(
    client: httpx.AsyncClient, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    assert code_of(await log_in(client)) == (500, "internal_error")


async def test_a_provider_that_tells_of_somebody_else_is_not_believed(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    provider.userinfo = {"sub": "another"}
    assert code_of(await log_in(client)) == (500, "internal_error")


async def test_a_token_too_long_for_a_cookie_is_said(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.claims = {"groups": ["x" * 100] * 60}
    answer = await log_in(client)
    assert code_of(answer) == (500, "internal_error")
    assert "auth_oidc_scopes" in answer.json()["message"]


# -- who may come in -----------------------------------------------------------------------------------------------


@pytest.fixture
async def choosy(served: dict[str, Server], provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that lets in two addresses."""
    del provider  # it is to be honest again
    async with client_of(served["choosy"]) as made:
        yield made


@pytest.mark.parametrize(
    ("account", "status"),
    [
        ({"email": "ann@example.org"}, 302),
        ({"email": "bob@example.org", "email_verified": "true"}, 302),
        ({"email": "bob@example.org", "email_verified": None}, 403),
        ({"email": "ann@example.org", "email_verified": "false"}, 403),
        ({"email": ["ann@example.org"]}, 403),
        ({"email": "Ann@example.org"}, 403),
        ({"email": "ann@example.org", "email_verified": False}, 403),
        ({"email": "eve@example.org"}, 403),
        ({"email": None}, 403),
    ],
    ids=str,
)
async def test_only_who_is_on_the_list_comes_in(
    choosy: httpx.AsyncClient, provider: Provider, account: dict[str, Any], status: int
) -> None:
    provider.account |= account
    answer = await log_in(choosy)
    assert answer.status_code == status
    assert (await choosy.get("/dags")).status_code == (200 if status == 302 else 401)


async def test_the_address_may_be_known_to_the_userinfo_only(choosy: httpx.AsyncClient, provider: Provider) -> None:
    provider.claims = {"email": None, "email_verified": None}
    assert (await log_in(choosy)).status_code == 302
    assert (await choosy.get("/dags")).status_code == 200


async def test_the_verification_may_be_known_to_the_userinfo_only(
    choosy: httpx.AsyncClient, provider: Provider
) -> None:
    provider.claims = {"email_verified": None}
    assert (await log_in(choosy)).status_code == 302
    assert (await choosy.get("/dags")).status_code == 200


@pytest.mark.parametrize(
    ("userinfo", "code"), [({"email_verified": False}, 403), ({"email": "bob@example.org"}, 500)], ids=str
)
async def test_a_userinfo_that_contradicts_the_id_token_lets_nobody_in(
    choosy: httpx.AsyncClient, provider: Provider, userinfo: dict[str, Any], code: int
) -> None:
    provider.userinfo = userinfo
    assert (await log_in(choosy)).status_code == code
    assert COOKIE not in choosy.cookies


@pytest.mark.parametrize("verified", [None, False], ids=str)
async def test_where_everybody_may_log_in_an_unverified_address_is_no_name(
    client: httpx.AsyncClient, provider: Provider, verified: bool | None
) -> None:
    provider.account["email_verified"] = verified
    assert code_of(await log_in(client)) == (403, "forbidden")
    client.cookies.set(COOKIE, provider.id_token())
    assert (await client.get("/dags")).status_code == 401


async def test_a_provider_that_never_says_verified_can_be_trusted(url: str, tmp_path: Path, provider: Provider) -> None:
    trusting = {"auth_oidc_whitelist": "ann@example.org", "auth_oidc_trust_unverified": "true"}
    async with opened(url, tmp_path, provider, **trusting) as client:
        provider.account["email_verified"] = False
        assert code_of(await log_in(client)) == (403, "forbidden")
        provider.account["email_verified"] = None
        assert (await log_in(client)).status_code == 302
        assert (await client.get("/dags")).status_code == 200


async def test_an_id_token_from_elsewhere_lets_in_who_is_on_the_list_only(
    choosy: httpx.AsyncClient, provider: Provider
) -> None:
    statuses = {}
    for email in ("ann@example.org", "eve@example.org", None):
        choosy.cookies.set(COOKIE, provider.id_token(email=email))
        statuses[email] = (await choosy.get("/dags")).status_code
    assert statuses == {"ann@example.org": 200, "eve@example.org": 401, None: 401}


# -- beside other credentials --------------------------------------------------------------------------------------


async def test_the_token_of_the_settings_counts_too(url: str, tmp_path: Path, provider: Provider) -> None:
    async with opened(url, tmp_path, provider, **STATIC) as client:
        assert (await client.get("/dags", headers={"Authorization": "Bearer static"})).status_code == 200
        client.cookies.set(COOKIE, provider.id_token())
        assert (await client.get("/dags")).status_code == 200


async def test_where_a_pair_counts_the_provider_is_not_asked(url: str, tmp_path: Path, provider: Provider) -> None:
    pair = {"auth_basic_username": "ann", "auth_basic_password": "word"}
    async with opened(url, tmp_path, provider, **pair) as client:
        client.cookies.set(COOKIE, provider.id_token())
        answer = await client.get("/dags")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="restricted"')
        assert (await client.get("/dags", auth=("ann", "word"))).status_code == 200


async def test_without_a_provider_nobody_logs_in_there(server: Server) -> None:
    async with client_of(server) as client:
        for path in ("/oidc-login", "/oidc-callback?code=x&state=y"):
            assert code_of(await client.get(f"http://localhost{path}")) == (404, "not_found")


# -- pages ---------------------------------------------------------------------------------------------------------


@get("/page", requires=Requires.PAGE)
async def page() -> str:
    """Stand for a page of the web UI."""
    return "the page"


@asynccontextmanager
async def paged(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A page behind the guard of a server."""
    app = Litestar(
        [page],
        guards=[make_guard(server.services.accounts.auth)],
        exception_handlers=errors.make_handlers(),
        openapi_config=None,
        logging_config=None,
    )
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_a_page_sends_to_the_provider_who_is_not_logged_in(url: str, tmp_path: Path, provider: Provider) -> None:
    async with serving(url, tmp_path, **settings_for(provider)) as server, paged(server) as client:
        answer = await client.get("/page?a=1")
        assert answer.status_code == 302
        assert answer.headers["location"].startswith(f"{provider.issuer}/authorize?")
        assert cookies_of(answer)["originalURL"].value == "%2Fpage%3Fa%3D1"
        client.cookies.set(COOKIE, provider.id_token())
        assert (await client.get("/page")).text == "the page"


async def test_without_a_provider_pages_are_open(server: Server) -> None:
    async with paged(server) as client:
        assert (await client.get("/page")).text == "the page"


# -- before it starts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"issuer": "https://id.example"}, "calls itself"),
        ({"token_endpoint": None}, "token_endpoint"),
        ({"jwks_uri": "http://127.0.0.1:1/keys"}, "cannot be asked"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri file:///etc/passwd is not https"),
        ({"authorization_endpoint": "http://id.example/a"}, "authorization_endpoint http://id.example/a is not https"),
        ({"token_endpoint": "http://127.0.0.1.example/t"}, "token_endpoint .* is not https"),
        ({"userinfo_endpoint": "http://[::1/u"}, "userinfo_endpoint .* is not https"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "signs by none of"),
    ],
    ids=str,
)
async def test_a_provider_that_cannot_be_used_stops_the_start(
    tmp_path: Path, provider: Provider, described: dict[str, Any], said: str
) -> None:
    provider.description = described
    with pytest.raises(SettingsError, match=rf"auth_oidc_issuer .*{said}"):
        await find_provider(read(settings_for(provider), {}, tmp_path))


async def test_a_provider_that_is_not_there_stops_the_start(tmp_path: Path, provider: Provider) -> None:
    settings = read({**settings_for(provider), "auth_oidc_issuer": "http://127.0.0.1:1"}, {}, tmp_path)
    with pytest.raises(SettingsError, match="cannot be asked at http://127"):
        await find_provider(settings)


async def test_a_provider_that_wants_the_secret_in_the_form_gets_it_there(
    url: str, tmp_path: Path, provider: Provider
) -> None:
    provider.description = {"token_endpoint_auth_methods_supported": ["client_secret_post"], "userinfo_endpoint": None}
    async with opened(url, tmp_path, provider) as client:
        assert (await log_in(client)).status_code == 302
    assert "post" in provider.seen


@pytest.mark.parametrize("name", ["issuer", "client_id", "client_secret", "client_url"])
async def test_a_login_at_a_provider_needs_all_that_it_takes(tmp_path: Path, provider: Provider, name: str) -> None:
    settings = read({**settings_for(provider), f"auth_oidc_{name}": ""}, {}, tmp_path)
    with pytest.raises(SettingsError, match=rf"auth_oidc_{name} .*is missing"):
        check_authentication(settings)


@pytest.mark.parametrize("issuer", ["http://id.example", "http://127.0.0.1.example", "http://localhost.example:8080"])
async def test_a_provider_without_tls_on_another_machine_is_refused(
    tmp_path: Path, provider: Provider, issuer: str
) -> None:
    settings = read({**settings_for(provider), "auth_oidc_issuer": issuer}, {}, tmp_path)
    with pytest.raises(SettingsError, match=r"auth_oidc_issuer .*is not https"):
        check_authentication(settings)


async def test_without_a_list_of_addresses_only_a_setting_lets_everybody_in(tmp_path: Path, provider: Provider) -> None:
    given = settings_for(provider)
    del given["auth_oidc_allow_everybody"]
    with pytest.raises(SettingsError, match=r"auth_oidc_whitelist .*or set auth_oidc_allow_everybody"):
        check_authentication(read(given, {}, tmp_path))
    check_authentication(read({**given, "auth_oidc_allow_everybody": "true"}, {}, tmp_path))
    check_authentication(read({**given, "auth_oidc_whitelist": "ann@example.org"}, {}, tmp_path))


def test_a_server_without_a_list_ends_before_it_asks_the_provider(
    command: Callable[..., CommandResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_there = {"issuer": "http://127.0.0.1:1", "client_id": "x", "client_secret": "x", "client_url": "http://x"}
    for name, value in nobody_there.items():
        monkeypatch.setenv(f"DAGBOOK_AUTH_OIDC_{name.upper()}", value)
    refused = command("serve", "--port", "0")
    assert (refused.status, "auth_oidc_whitelist" in refused.err, "cannot be asked" in refused.err) == (1, True, False)
    monkeypatch.setenv("DAGBOOK_AUTH_OIDC_ALLOW_EVERYBODY", "true")
    asked = command("serve", "--port", "0")
    assert (asked.status, "cannot be asked at http://127.0.0.1:1" in asked.err) == (1, True)


async def test_settings_of_a_provider_that_contradict_or_leak_are_warned_of(tmp_path: Path, provider: Provider) -> None:
    given = settings_for(provider, auth_oidc_whitelist="ann@example.org", auth_oidc_allow_everybody="true")
    assert "auth_oidc_allow_everybody is ignored" in "".join(find_warnings(read(given, {}, tmp_path)))
    given |= {"auth_oidc_client_url": "http://dags.example.org"}
    assert "auth_oidc_client_url is not https" in "".join(find_warnings(read(given, {}, tmp_path)))


async def test_a_provider_without_a_mode_is_taken_for_one(tmp_path: Path, provider: Provider) -> None:
    given = {name: text for name, text in settings_for(provider).items() if name != "auth_mode"}
    chosen = choose_mode(read(given, {}, tmp_path))
    assert chosen.auth_mode == "oidc"
    assert "auth_mode is oidc" in "".join(find_warnings(chosen))
    assert choose_mode(read({**given, "auth_mode": "none"}, {}, tmp_path)).auth_mode == "none"
    assert choose_mode(read({}, {}, tmp_path)).auth_mode == "none"


# -- roles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "statuses"),
    [
        (["bosses"], (200, 201, 200)),
        (["ops"], (200, 403, 200)),
        ([], (200, 403, 403)),
        (["none of them"], (200, 403, 403)),
    ],
)
async def test_with_rules_claims_decide_what_an_account_may(
    url: str, tmp_path: Path, provider: Provider, groups: list[str], statuses: tuple[int, int, int]
) -> None:
    provider.account["groups"] = groups
    async with opened(url, tmp_path, provider, auth_oidc_roles="groups=ops:operator,groups=bosses:manager") as client:
        assert (await log_in(client)).status_code == 302
        found = (
            (await client.get("/dags")).status_code,
            (await client.post("/dags", json={"name": "new"})).status_code,
            (await client.post("/dag-runs", json={"name": "inline", "spec": "steps: []"})).status_code,
        )
        assert found == statuses
        role = "manager" if "bosses" in groups else "operator" if "ops" in groups else "viewer"
        assert (await client.get("/dags")).headers["x-dagbook-role"] == role, "which the web UI has from nowhere else"
        assert code_of(await client.get("/users")) == (401, "unauthorized")


async def test_an_account_without_a_role_is_refused_at_its_login(url: str, tmp_path: Path, provider: Provider) -> None:
    rules = {"auth_oidc_roles": "groups=ops:operator", "auth_oidc_default_role": "none"}
    async with opened(url, tmp_path, provider, **rules) as client:
        refused = await log_in(client)
        assert (code_of(refused), "auth_oidc_roles" in refused.json()["message"]) == ((403, "forbidden"), True)
        client.cookies.set("oidcToken", provider.id_token())  # requested by another program
        assert code_of(await client.get("/dags")) == (401, "unauthorized")


async def test_a_logout_takes_the_cookie_of_the_provider_s_token(client: httpx.AsyncClient) -> None:
    await log_in(client)
    left = await client.post("/auth/logout")
    assert (left.status_code, cookies_of(left)["oidcToken"].value) == (200, "")
