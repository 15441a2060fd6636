"""Secrets of Vault: the forms of keys, logins, what is tried again, and what is said when there is none."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dagbook.egress.rules import Egress
from dagbook.runs.evaluation import vault
from dagbook.runs.evaluation.secret_commands import LIMIT_SECONDS, SecretError
from dagbook.runs.evaluation.vault import Answer, Vault, find_place
from dagbook.runs.server_context import VaultAccess
from dagbook.spec.model import Secret
from tests.certificates import make_certificate
from tests.executors.web import Web, plain
from tests.runs.vault_server import JWT, ROLE_ID, ROOT, SECRET_ID, V1, V2, VaultServer

KEY = f"{V2}/password"
OTHER = "topsecretother"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VaultServer]:
    monkeypatch.setattr(vault, "_PAUSES", (0.01, 0.01))
    opened = VaultServer()
    await opened.start()
    yield opened
    await opened.stop()


def client(server: VaultServer | Web, deny: tuple[str, ...] = (), **access: Any) -> Vault:
    return Vault(VaultAccess(address=server.url, **(access or {"token": ROOT})), Egress(deny))


def secret(key: str = KEY, **options: str) -> Secret:
    return Secret(name="S", provider="vault", key=key, options=options)


async def refusal(opened: Vault, wanted: Secret) -> str:
    with pytest.raises(SecretError) as raised:
        await opened.read(wanted)
    said = str(raised.value)
    assert "topsecret" not in said
    return said


# -- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        (secret("kv/data/prod/db/password"), ("kv/data/prod/db", "password", "")),
        (secret("kv/data/prod/db", field="a/b"), ("kv/data/prod/db", "a/b", "")),
        (secret("kv/data/prod/db/password?version=3"), ("kv/data/prod/db", "password", "3")),
        (secret("kv/data/prod/db/password", version="3"), ("kv/data/prod/db", "password", "3")),
        (secret("kv/data/prod/db?version=3", field="password", version="3"), ("kv/data/prod/db", "password", "3")),
        (secret("kv/data/with space/x"), ("kv/data/with space", "x", "")),
    ],
)
def test_a_key_names_path_field_and_version(wanted: Secret, place: tuple[str, str, str]) -> None:
    assert find_place(wanted) == place


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (secret("password"), "write PATH/FIELD"),
        (secret("kv/data/"), "write PATH/FIELD"),
        (secret("/kv/data/a"), "write PATH/FIELD"),
        (secret("kv/../sys/a"), "write PATH/FIELD"),
        (secret("kv//a"), "write PATH/FIELD"),
        (secret("auth/token/lookup-self/id"), "write PATH/FIELD"),
        (secret("sys/mounts/a"), "write PATH/FIELD"),
        (secret("kv/data/a?version=0"), "the version does not fit"),
        (secret("kv/data/a?list=true"), "the version does not fit"),
        (secret("kv/data/a?version=1", version="2"), "the version does not fit"),
        (secret("kv/data/a", version="latest"), "the version does not fit"),
        (secret("kv/data/a", fild="x"), "'fild' is no option of vault; it has field and version"),
    ],
)
def test_what_is_no_key_of_a_secret_is_refused_before_vault_is_asked(wanted: Secret, told: str) -> None:
    with pytest.raises(SecretError, match=told):
        find_place(wanted)


# -- reads ---------------------------------------------------------------------------------------------------------


async def test_both_versions_of_the_engine_are_read_and_a_version_is_said(server: VaultServer) -> None:
    opened = client(server, token=ROOT, namespace="team")
    assert await opened.read(secret(f"{V1}/password")) == Answer(b"v1-value")
    assert await opened.read(secret()) == Answer(b"v2-second", 2)
    assert await opened.read(secret(f"{KEY}?version=1")) == Answer(b"v2-first", 1)
    assert await opened.read(secret(V2, field="port", version="2")) == Answer(b"5432", 2)
    assert {asked.headers["x-vault-namespace"] for asked in server.asked} == {"team"}
    assert [asked.target for asked in server.asked[2:]] == [f"/v1/{V2}?version=1", f"/v1/{V2}?version=2"]


async def test_a_secret_a_version_or_a_field_that_is_not_there_is_named(server: VaultServer) -> None:
    opened = client(server)
    assert "Vault has no secret 'kv/prod/db'; in KV version 2" in await refusal(opened, secret("kv/prod/db/password"))
    assert f"Vault has no secret '{V2}' in version 9" in await refusal(opened, secret(KEY, version="9"))
    assert f"the secret '{V2}' has no field 'user'" in await refusal(opened, secret(f"{V2}/user"))


async def test_the_token_of_the_server_is_no_secret_of_a_dag(server: VaultServer) -> None:
    server.versions[-1]["password"] = f"Bearer {ROOT}"
    assert "is about the token of this server" in await refusal(client(server, token=ROOT), secret())


async def test_nothing_is_cached(server: VaultServer) -> None:
    opened = client(server)
    await opened.read(secret())
    server.versions.append({"password": "third"})
    assert await opened.read(secret()) == Answer(b"third", 3)


# -- logins --------------------------------------------------------------------------------------------------------


async def test_a_token_that_is_refused_is_said_without_it(server: VaultServer) -> None:
    said = await refusal(client(server, token=OTHER), secret())
    assert said == "Vault answers 403: permission denied for *******"


async def test_a_token_file_is_read_each_time(server: VaultServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("hvs.topsecretold\n")
    opened = client(server, token_path=path)
    assert "Vault answers 403" in await refusal(opened, secret())
    path.write_text(f"{ROOT}\n")
    assert (await opened.read(secret())).value == b"v2-second"
    path.unlink()
    assert "the file of vault_token_path cannot be read" in await refusal(opened, secret())


async def test_approle_logs_in_once_for_many_reads(server: VaultServer) -> None:
    opened = client(server, role_id=ROLE_ID, secret_id=SECRET_ID)
    found = await asyncio.gather(*(opened.read(secret()) for _ in range(20)))
    assert (len({*found}), server.logins) == (1, 1)


async def test_kubernetes_logs_in_with_the_file_of_the_service_account(server: VaultServer, tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    path.write_text(JWT)
    opened = client(server, kubernetes_role="dags", kubernetes_token_path=path)
    assert ((await opened.read(secret())).value, server.logins) == (b"v2-second", 1)
    path.write_text("topsecretother")
    opened = client(server, kubernetes_role="dags", kubernetes_token_path=path)
    assert "Vault answers 400: invalid credentials" in await refusal(opened, secret())


async def test_a_login_that_is_refused_is_said_without_its_secrets(server: VaultServer) -> None:
    opened = client(server, role_id=ROLE_ID, secret_id=OTHER)
    assert "Vault answers 400: invalid credentials" in await refusal(opened, secret())


async def test_an_expired_token_is_replaced_by_a_new_login(server: VaultServer) -> None:
    opened = client(server, role_id=ROLE_ID, secret_id=SECRET_ID)
    await opened.read(secret())
    server.tokens.clear()  # before the end of its lease
    assert ((await opened.read(secret())).value, server.logins) == (b"v2-second", 2)
    server.answers[f"/v1/{V2}"] = plain(403, json.dumps({"errors": ["permission denied"]}))
    assert await refusal(opened, secret()) == "Vault answers 403: permission denied"
    assert server.logins == 3  # once more, not again and again


async def test_a_token_is_kept_for_two_thirds_of_its_lease(
    server: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(vault, "time", SimpleNamespace(monotonic=lambda: clock[0]))  # the event loop keeps its own
    opened = client(server, role_id=ROLE_ID, secret_id=SECRET_ID)
    for seconds, logins in ((0, 1), (2399, 1), (2, 2), (2399, 2)):
        clock[0] += seconds
        await opened.read(secret())
        assert server.logins == logins
    server.lease = 0  # it does not end
    clock[0] += 2
    await opened.read(secret())
    clock[0] += 10**9
    await opened.read(secret())
    assert server.logins == 3


async def test_without_a_login_the_settings_are_named(server: VaultServer) -> None:
    assert "set vault_token, vault_token_path, vault_role_id" in await refusal(client(server, namespace="x"), secret())


# -- failures ------------------------------------------------------------------------------------------------------


async def test_an_error_of_vault_is_tried_three_times(server: VaultServer) -> None:
    server.failures = [503, 503]
    assert ((await client(server).read(secret())).value, len(server.asked)) == (b"v2-second", 3)
    server.failures = [503, 503, 500]
    assert await refusal(client(server), secret()) == "Vault answers 500, at the last of 3 tries"


async def test_a_vault_that_is_not_there_is_said(server: VaultServer) -> None:
    opened = client(server)
    await server.stop()
    assert "Vault cannot be reached" in await refusal(opened, secret())
    await server.start()


async def test_a_vault_that_does_not_answer_has_ten_seconds(
    server: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LIMIT_SECONDS == 10
    monkeypatch.setattr(vault, "LIMIT_SECONDS", 0.3)
    server.pause = 60
    assert await refusal(client(server), secret()) == "Vault did not answer within 0.3 seconds"


async def test_a_redirect_is_not_followed_and_the_token_stays(server: VaultServer) -> None:
    other = Web()
    await other.start()
    other.answers[f"/v1/{V2}"] = plain(200, "{}")
    server.answers[f"/v1/{V2}"] = plain(307, "", f"Location: {other.url}/v1/{V2}")
    said = await refusal(client(server), secret())
    await other.stop()
    assert (said.startswith(f"Vault redirects to '{other.url}"), other.asked) == (True, [])


async def test_a_certificate_of_its_own_is_refused_unless_the_authority_is_set(tmp_path: Path) -> None:
    context, trusted = make_certificate(tmp_path)
    server = VaultServer()
    await server.start(context)
    assert "CERTIFICATE_VERIFY_FAILED" in await refusal(client(server), secret())
    assert (await client(server, token=ROOT, ca_file=trusted).read(secret())).value == b"v2-second"
    assert "cannot be used" in await refusal(client(server, token=ROOT, ca_file=tmp_path / "none"), secret())
    await server.stop()


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    context, trusted = make_certificate(tmp_path)
    context.load_verify_locations(trusted)
    context.verify_mode = ssl.CERT_REQUIRED
    server = VaultServer()
    await server.start(context)
    access: dict[str, Any] = {
        "token": ROOT,
        "ca_file": trusted,
        "client_cert": trusted,
        "client_key": tmp_path / "key.pem",
    }
    assert (await client(server, **access).read(secret())).value == b"v2-second"
    assert "Vault cannot be reached" in await refusal(client(server, token=ROOT, ca_file=trusted), secret())
    await server.stop()


async def test_an_address_that_may_not_be_reached_is_not_asked(server: VaultServer) -> None:
    assert "(setting egress_deny" in await refusal(client(server, ("127.0.0.0/8",)), secret())
    assert server.asked == []


async def test_an_answer_of_more_than_a_mebibyte_is_not_read(server: VaultServer) -> None:
    server.answers[f"/v1/{V2}"] = plain(200, "x" * (1024 * 1024 + 1))
    assert await refusal(client(server), secret()) == "Vault answers with more than 1024 KiB"
    server.answers[f"/v1/{V2}"] = plain(200, "no JSON")
    assert await refusal(client(server), secret()) == "Vault answers 200: this is no answer of Vault"


async def test_five_hundred_reads_have_eight_connections(server: VaultServer) -> None:
    opened, server.pause = client(server), 0.005
    found = await asyncio.gather(*(opened.read(secret()) for _ in range(500)))
    assert (len(found), len({*found}), len(server.asked)) == (500, 1, 500)
    assert 2 < server.most <= 8
