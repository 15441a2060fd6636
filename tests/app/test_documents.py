"""The document of a page has the session of the browser that asks for it, so that its scripts need not ask."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.auth.roles import Role
from tests.app.dagbook import client_of, serving
from tests.app.people import Credential, People

PAGE = "http://localhost/dags"
TOKEN = "the static token of these tests"  # noqa: S105 - of tests
ADMIN_PLACES = {"/users", "/access", "/audit"}


def _config(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200
    found = re.search(r'<meta name="dagbook" content="([^"]*)">', answer.text)
    assert found is not None
    config: dict[str, Any] = json.loads(unescape(found[1]))
    return config


def _links(answer: httpx.Response) -> set[str]:
    return set(re.findall(r'<a href="([^"]*)"', answer.text.partition("<nav")[2]))


async def _open(people: People, credential: Credential | None, path: str = PAGE) -> httpx.Response:
    async with people.client(credential) as client:
        return await client.get(path)


async def test_the_document_has_what_the_api_tells_of_the_session(people: People) -> None:
    for role in (Role.ADMIN, Role.VIEWER):
        browser = await people.browse((await people.add(role)).name)
        answer = await _open(people, browser)
        async with people.client(browser) as client:
            assert _config(answer)["session"] == (await client.get("/auth/session")).json()
        assert browser["Cookie"].partition("=")[2] not in answer.text
        assert (_links(answer) & ADMIN_PLACES == ADMIN_PLACES) is (role is Role.ADMIN)
        assert "/dags" in _links(answer)


async def test_no_cache_keeps_a_document_with_a_session(people: People) -> None:
    browser = await people.browse((await people.add(Role.VIEWER)).name)
    with_session, without = await _open(people, browser), await _open(people, None)
    assert [with_session.headers[name] for name in ("cache-control", "vary")] == ["no-store", "Cookie"]
    assert [without.headers[name] for name in ("cache-control", "vary")] == ["no-cache", "Cookie"]


async def test_the_login_page_and_who_has_no_session_get_none(people: People) -> None:
    person = await people.add(Role.ADMIN)
    browser = await people.browse(person.name)
    name = browser["Cookie"].partition("=")[0]
    cases: list[tuple[Credential | None, str]] = [
        (None, PAGE),
        (browser, "http://localhost/login"),
        ({"Cookie": f"{name}=void"}, PAGE),
        (person.token, PAGE),  # of a program, which has no use for it
        ({**browser, "Authorization": "Bearer guessed"}, PAGE),  # a page is no way to try tokens
    ]
    for credential, path in cases:
        answer = await _open(people, credential, path)
        assert "session" not in _config(answer), credential
        assert person.name not in answer.text


async def test_a_session_that_has_ended_is_none(people: People) -> None:
    browser = await people.browse((await people.add(Role.VIEWER)).name)
    async with people.client(browser) as client:
        await client.post("/auth/logout")
    assert "session" not in _config(await _open(people, browser))


async def test_the_session_of_a_static_token_has_no_user(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, auth_token=TOKEN) as server, client_of(server) as client:
        answer = await client.post("/auth/session", json={"token": TOKEN})
        cookie = answer.headers["set-cookie"].partition(";")[0]
        document = await client.get(PAGE, headers={"Cookie": cookie})
    assert _config(document)["session"] == {"csrfToken": answer.json()["csrfToken"]}
    assert TOKEN not in document.text
    assert "Log out" in document.text


@pytest.mark.parametrize("path", ["/nowhere", "/dags/a/b/c"])
async def test_a_missing_page_has_no_session(people: People, path: str) -> None:
    browser = await people.browse((await people.add(Role.VIEWER)).name)
    async with people.client(browser) as client:
        answer = await client.get(f"http://localhost{path}", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "csrfToken" not in answer.text
