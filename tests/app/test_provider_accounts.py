"""Logins at a provider beside local users: an account is made at the first login, and claims give roles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from dagbook.accounts.auth_setup import check_authentication
from dagbook.auth.roles import Role
from dagbook.settings import SettingsError, read
from tests.app.dagbook import client_of
from tests.app.people import PASSWORD, SECRET, People, code_of, serving_people
from tests.app.provider import CLIENT_ID, CLIENT_SECRET, Provider, log_in
from tests.app.test_oidc import settings_for

Opening = Callable[..., AbstractAsyncContextManager[People]]


@pytest.fixture
def beside(database_url: str, tmp_path: Path, provider: Provider) -> Opening:
    """Open a server with local users and the provider."""

    @asynccontextmanager
    async def opening(**more: str) -> AsyncIterator[People]:
        provider_settings = {name: text for name, text in settings_for(provider).items() if name != "auth_mode"}
        async with serving_people(database_url, tmp_path, **{**provider_settings, **more}) as people:
            yield people

    return opening


async def enter(people: People, status: int = 302) -> dict[str, str]:
    """Log a browser in at the provider; returns what its requests send."""
    async with client_of(people.server) as client:
        answer = await log_in(client)
        assert answer.status_code == status, answer.text
        if status != 302:
            return {"message": answer.json()["message"]}
        (cookie,) = [line for line in answer.headers.get_list("set-cookie") if "dagbook" in line]
        where = urlsplit(answer.headers["location"])
        assert (where.path, parse_qs(where.query)) == ("/login", {"session": ["new"], "next": ["/dags?page=2"]})
        headers = {"Cookie": cookie.partition(";")[0]}
        found = await client.get("/auth/session", headers=headers)
    return {**headers, "X-CSRF-Token": found.json()["csrfToken"]}


async def me(people: People, browser: dict[str, str]) -> dict[str, Any]:
    async with people.client(browser) as client:
        return dict((await client.get("/auth/me")).json()["user"])


async def admin_of(people: People) -> httpx.AsyncClient:
    client = client_of(people.server)
    client.headers["Authorization"] = f"Bearer {(await people.add(Role.ADMIN)).token}"
    return client


async def test_the_first_login_makes_an_account_and_the_next_one_finds_it(beside: Opening, provider: Provider) -> None:
    async with beside() as people:
        first = await me(people, await enter(people))
        assert (first["username"], first["role"], first["issuer"]) == ("ann@example.org", "viewer", provider.issuer)
        provider.account |= {"email": "ann@other.example", "preferred_username": "ann"}
        assert (await me(people, await enter(people)))["id"] == first["id"]
        async with await admin_of(people) as admin:
            entries = (await admin.get("/audit", params={"object": "ann@example.org"})).json()["entries"]
            assert [(entry["action"], entry["via"]) for entry in entries] == [
                ("login.success", "oidc"),
                ("login.success", "oidc"),
                ("user.create", "oidc"),
            ]


async def test_a_local_user_of_the_same_name_is_somebody_else(beside: Opening, provider: Provider) -> None:
    provider.account["preferred_username"] = "ann"
    async with beside() as people:
        local = await people.add(Role.ADMIN, "ann")
        found = await me(people, await enter(people))
        assert (found["username"], found["role"], found["id"] == local.id) == ("ann@example.org", "viewer", False)
        provider.account = {"sub": "4712", "preferred_username": "ann", "email_verified": True}
        assert (await me(people, await enter(people)))["username"] == "4712"
        async with people.client() as client:
            body = {"username": "ann@example.org", "password": ""}
            assert code_of(await client.post("/auth/login", json=body)) == (401, "unauthorized")
            assert code_of(await client.post("/auth/login", json={**body, "password": PASSWORD})) == (
                401,
                "unauthorized",
            )


async def test_no_account_takes_the_name_of_an_approver(beside: Opening, provider: Provider) -> None:
    provider.account |= {"preferred_username": "boss", "email": "mallory@example.org"}
    gate = "steps: [{name: gate, type: hitl, config: {approvers: [boss]}}]"
    async with beside() as people:
        async with await admin_of(people) as admin:
            assert (await admin.post("/dags", json={"name": "pay", "spec": gate})).status_code == 201
        assert (await me(people, await enter(people)))["username"] == "mallory@example.org"


async def test_a_role_that_an_admin_gave_stays_where_no_rule_decides(beside: Opening) -> None:
    async with beside(auth_oidc_default_role="operator") as people, await admin_of(people) as admin:
        found = await me(people, await enter(people))
        assert found["role"] == "operator"
        await admin.patch(f"/users/{found['id']}", json={"role": "manager"})
        assert (await me(people, await enter(people)))["role"] == "manager"


async def test_rules_give_the_role_again_at_every_login(beside: Opening, provider: Provider) -> None:
    async with beside(auth_oidc_roles="groups=ops:operator,groups=bosses:admin") as people:
        await people.add(Role.ADMIN)
        roles = []
        for groups in (["ops", "bosses"], ["ops"], [], ["bosses"]):
            provider.account["groups"] = groups
            roles.append((await me(people, await enter(people)))["role"])
        assert roles == ["admin", "operator", "viewer", "admin"]
        provider.account["groups"] = None
        provider.claims, provider.userinfo = {"groups": None}, {"groups": ["ops"]}  # which only the userinfo has
        assert (await me(people, await enter(people)))["role"] == "operator"


async def test_groups_by_claim_are_joined_and_left_at_every_login(beside: Opening, provider: Provider) -> None:
    async with beside(auth_oidc_default_scope="granted") as people, await admin_of(people) as admin:
        assert (await admin.post("/dags", json={"name": "etl-load"})).status_code == 201
        ids = {}
        for name, claim in (("by claim", "groups=ops"), ("by hand", "groups=others")):
            ids[name] = (await admin.post("/groups", json={"name": name, "claim": claim})).json()["id"]
        body = {"groupId": ids["by claim"], "role": "operator", "pattern": "etl-*"}
        assert (await admin.post("/grants", json=body)).status_code == 201
        found = await me(people, await enter(people))
        assert found["scope"] == "granted"
        assert (await admin.put(f"/groups/{ids['by hand']}/members/{found['id']}")).status_code == 204
        seen = []
        for groups in (["ops"], ["others"], []):
            provider.account["groups"] = groups
            async with people.client(await enter(people)) as client:
                names = [dag["fileName"] for dag in (await client.get("/dags")).json()["dags"]]
            listed = (await admin.get("/groups")).json()["groups"]
            seen.append((names, {group["name"]: group["members"] for group in listed}))
        assert seen == [
            (["etl-load"], {"by claim": 1, "by hand": 1}),
            ([], {"by claim": 0, "by hand": 1}),
            ([], {"by claim": 0, "by hand": 1}),
        ], "who was added by hand stays"
        entries = (await admin.get("/audit", params={"object": "by claim"})).json()["entries"]
        assert [(entry["action"], entry["via"]) for entry in entries[:2]] == [
            ("group.leave", "oidc"),
            ("group.join", "oidc"),
        ]


async def test_the_last_admin_stays_one_whatever_claims_say(beside: Opening, provider: Provider) -> None:
    async with beside(auth_oidc_roles="groups=bosses:admin") as people:
        provider.account["groups"] = ["bosses"]
        await enter(people)
        provider.account["groups"] = []
        assert (await me(people, await enter(people)))["role"] == "admin"


async def test_an_account_without_a_role_stays_out(beside: Opening, provider: Provider) -> None:
    rules = {"auth_oidc_roles": "groups=ops:operator", "auth_oidc_default_role": "none"}
    async with beside(**rules) as people:
        assert "no rule of auth_oidc_roles" in (await enter(people, 403))["message"]
        provider.account["groups"] = ["ops"]
        assert (await me(people, await enter(people)))["role"] == "operator"


async def test_whose_account_is_disabled_stays_out_until_it_is_enabled(beside: Opening) -> None:
    async with beside() as people, await admin_of(people) as admin:
        browser = await enter(people)
        found = await me(people, browser)
        token = (await admin.post("/tokens", json={"name": "ci", "username": found["username"]})).json()["token"]
        answer = await admin.patch(f"/users/{found['id']}", json={"disabled": True})
        assert answer.json()["user"]["disabled"] is True
        assert "disabled" in (await enter(people, 403))["message"]
        for credential in (browser, token):
            async with people.client(credential) as client:
                assert code_of(await client.get("/dags")) == (401, "unauthorized")
        await admin.patch(f"/users/{found['id']}", json={"disabled": False})
        assert "disabled" not in await me(people, await enter(people))
        async with people.client(token) as client:
            assert (await client.get("/dags")).status_code == 200


async def test_a_local_user_that_is_disabled_stays_out_too(people: People) -> None:
    ann = await people.add(Role.OPERATOR)
    async with await admin_of(people) as admin:
        await admin.patch(f"/users/{ann.id}", json={"disabled": True})
        async with people.client(ann.token) as client:
            assert code_of(await client.get("/dags")) == (401, "unauthorized")
            answer = await client.post("/auth/login", json={"username": ann.name, "password": PASSWORD})
        assert code_of(answer) == (401, "unauthorized")
        await admin.patch(f"/users/{ann.id}", json={"disabled": False})
    assert await people.login(ann.name)


async def test_nobody_disables_the_last_admin_or_themselves(database_url: str, tmp_path: Path) -> None:
    async with serving_people(database_url, tmp_path) as people:
        ann, bob = await people.add(Role.ADMIN), await people.add(Role.ADMIN)
        async with people.client(ann.token) as client:
            assert code_of(await client.patch(f"/users/{ann.id}", json={"disabled": True})) == (403, "forbidden")
            assert (await client.patch(f"/users/{bob.id}", json={"disabled": True})).status_code == 200
            refused = await client.patch(f"/users/{ann.id}", json={"role": "viewer"})
        assert (code_of(refused)[0], "last admin" in refused.json()["message"]) == (403, True)


async def test_who_logs_in_at_the_provider_has_no_password_to_change(beside: Opening) -> None:
    async with beside() as people, people.client(await enter(people)) as client:
        body = {"currentPassword": "", "newPassword": "another horse"}
        answer = await client.post("/auth/change-password", json=body)
    assert (code_of(answer), "provider" in answer.json()["message"]) == ((400, "bad_request"), True)


async def test_pages_of_a_server_with_users_are_shown_without_a_login(beside: Opening) -> None:
    async with beside() as people, client_of(people.server) as client:
        page = await client.get("http://localhost/dags", headers={"Accept": "text/html"})
        assert (page.status_code, "provider&quot;:&quot;127.0.0.1" in page.text.replace(" ", "")) == (200, True)


@pytest.mark.parametrize("missing", ["auth_oidc_client_id", "auth_oidc_client_secret", "auth_oidc_client_url"])
def test_a_provider_beside_users_needs_all_that_it_takes(tmp_path: Path, missing: str) -> None:
    given = {
        "auth_mode": "builtin",
        "auth_token_secret": SECRET,
        "auth_oidc_issuer": "https://id.example",
        "auth_oidc_client_id": CLIENT_ID,
        "auth_oidc_client_secret": CLIENT_SECRET,
        "auth_oidc_client_url": "https://dags.example",
        "auth_oidc_allow_everybody": "true",
    }
    check_authentication(read(given, {}, tmp_path))
    with pytest.raises(SettingsError, match=f"{missing} .*is missing"):
        check_authentication(read({**given, missing: ""}, {}, tmp_path))
    with pytest.raises(SettingsError, match=r"auth_oidc_roles .*'boss' is no rule"):
        check_authentication(read({**given, "auth_oidc_roles": "boss"}, {}, tmp_path))
