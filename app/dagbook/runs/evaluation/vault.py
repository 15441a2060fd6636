"""Secrets of Vault and OpenBao (provider ``vault``): logins, and reads of the KV engine, versions 1 and 2.

Each secret of each attempt is one request, on a connection of its own; only the token of a login is kept.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx
import msgspec

from dagbook.egress.client import EgressClient, EgressDeniedError
from dagbook.egress.rules import Egress
from dagbook.json_values import JsonObject
from dagbook.runs.evaluation.secret_commands import LIMIT_SECONDS, MOST_ASKED, SecretError
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.server_context import VaultAccess
from dagbook.spec.model import Secret

_TRY_SECONDS, _PAUSES = 4.0, (0.3, 1.0)  # of one of three tries, and between them
_KEPT = 2 / 3  # of the lease of a token
_MAX_BYTES = 1024 * 1024
_MAX_MESSAGE = 300
_VERSION = re.compile(r"version=([1-9][0-9]{0,8})")
# What a token of the server may read there is about itself, and no secret of a DAG.
_NO_SECRETS = ("auth", "sys", "identity", "cubbyhole")


class Answer(NamedTuple):
    """The value of a secret, and its version if the provider has any."""

    value: bytes
    version: int | None = None


class _Place(NamedTuple):
    """Where a secret is: the path, its field, and a version; empty for the newest."""

    path: str
    field: str
    version: str


class _Token(NamedTuple):
    text: str
    ends: float  # monotonic


class _Login(msgspec.Struct):
    client_token: str
    lease_duration: int = 0


class _Body(msgspec.Struct):
    """An answer: a secret, a login, or what is wrong."""

    data: JsonObject | None = None
    auth: _Login | None = None
    errors: list[str] = []


class Vault:
    """A client for all runs of this process."""

    def __init__(self, access: VaultAccess, egress: Egress) -> None:
        self._access = access
        self._egress = egress
        self._free = asyncio.Semaphore(MOST_ASKED)
        self._login_lock = asyncio.Lock()
        self._kept = _Token("", 0.0)

    async def read(self, secret: Secret) -> Answer:
        """Return the value of a secret; raises SecretError."""
        place = find_place(secret)
        async with self._free:
            try:
                async with asyncio.timeout(LIMIT_SECONDS):
                    return await self._get(place)
            except TimeoutError:
                raise SecretError(f"Vault did not answer within {LIMIT_SECONDS:g} seconds") from None

    async def _get(self, place: _Place) -> Answer:
        path = quote(place.path) + (f"?version={place.version}" if place.version else "")
        async with self._client() as client:
            token = await self._token(client)
            response = await self._send(client, "GET", path, token=token)
            if response.status_code == HTTPStatus.FORBIDDEN:  # it may have expired, or been revoked
                refused, token = token, await self._token(client, instead_of=token)
                if token != refused:
                    response = await self._send(client, "GET", path, token=token)
        if response.status_code == HTTPStatus.NOT_FOUND:
            version = f" in version {place.version}" if place.version else ""
            raise SecretError(
                f"Vault has no secret {place.path!r}{version}; in KV version 2 a path has data/ behind its mount"
            )
        return _read_answer(self._read_body(response, token).data or {}, place, token)

    def _client(self) -> EgressClient:
        headers = {"X-Vault-Request": "true"}
        if self._access.namespace:
            headers["X-Vault-Namespace"] = self._access.namespace
        return EgressClient(self._egress, verify=self._context, timeout=_TRY_SECONDS, headers=headers)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        access = self._access
        try:
            context = ssl.create_default_context(cafile=access.ca_file)
            if access.client_cert is not None:
                context.load_cert_chain(access.client_cert, access.client_key)
        except OSError as error:  # also what OpenSSL says
            raise SecretError(f"the certificates of the settings vault_… cannot be used: {error}") from error
        return context

    async def _send(
        self, client: httpx.AsyncClient, method: str, path: str, *, token: str = "", data: JsonObject | None = None
    ) -> httpx.Response:
        """Send a request, again while Vault cannot be reached or has an error of its own; raises SecretError."""
        headers = {"X-Vault-Token": token} if token else {}
        for pause in (*_PAUSES, None):
            try:
                response = await self._send_once(client, method, path, headers, data)
            except EgressDeniedError as error:
                raise SecretError(str(error)) from None
            except httpx.HTTPError as error:
                problem = f"Vault cannot be reached: {error or type(error).__name__}"
            else:
                if response.is_redirect:
                    target = response.headers.get("location", "")[:_MAX_MESSAGE]
                    raise SecretError(f"Vault redirects to {target!r}, which is not followed; set vault_address to it")
                if not response.is_server_error and response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                    return response
                problem = f"Vault answers {response.status_code}"
            if pause is None:
                break
            await asyncio.sleep(pause)
        raise SecretError(self._masked(f"{problem}, at the last of {len(_PAUSES) + 1} tries", token))

    async def _send_once(
        self, client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], data: JsonObject | None
    ) -> httpx.Response:
        url = f"{self._access.address}/v1/{path}"
        async with client.stream(method, url, headers=headers, json=data) as response:
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MAX_BYTES:
                    raise SecretError(f"Vault answers with more than {_MAX_BYTES // 1024} KiB")
        location = {"location": response.headers.get("location", "")}
        return httpx.Response(response.status_code, headers=location, content=body)

    def _read_body(self, response: httpx.Response, hidden: str) -> _Body:
        """Read a success; raises SecretError with what Vault says, in which ``hidden`` is masked."""
        try:
            body = msgspec.json.decode(response.content, type=_Body)
        except msgspec.DecodeError:
            body = _Body(errors=["this is no answer of Vault"])
        if response.is_success and not body.errors:
            return body
        said = " ".join("; ".join(body.errors).split())[:_MAX_MESSAGE]
        raise SecretError(self._masked(f"Vault answers {response.status_code}: {said}", hidden))

    def _masked(self, message: str, token: str) -> str:
        return Masker(filter(None, (token, self._kept.text, self._access.token, self._access.secret_id))).mask(message)

    # -- logins ----------------------------------------------------------------------------------------------

    async def _token(self, client: httpx.AsyncClient, instead_of: str = "") -> str:
        """Return the token of the settings, of the file as it is now, or of a login, which is kept for a while."""
        access = self._access
        if access.token:
            return access.token.strip()
        if access.token_path is not None:
            return _read_token("vault_token_path", access.token_path)
        async with self._login_lock:
            if self._kept.text in ("", instead_of) or time.monotonic() >= self._kept.ends:
                self._kept = await self._log_in(client)
            return self._kept.text

    async def _log_in(self, client: httpx.AsyncClient) -> _Token:
        access, began = self._access, time.monotonic()
        if access.role_id:
            way, data = "approle", {"role_id": access.role_id, "secret_id": access.secret_id}
        elif access.kubernetes_role and access.kubernetes_token_path is not None:
            jwt = _read_token("vault_kubernetes_token_path", access.kubernetes_token_path)
            way, data = "kubernetes", {"role": access.kubernetes_role, "jwt": jwt}
        else:
            raise SecretError(
                "there is no login at Vault; set vault_token, vault_token_path, vault_role_id or vault_kubernetes_role"
            )
        response = await self._send(client, "POST", f"auth/{way}/login", data=data)
        auth = self._read_body(response, data.get("jwt", "")).auth
        if auth is None:
            raise SecretError("Vault answers a login without a token")
        return _Token(auth.client_token, began + auth.lease_duration * _KEPT if auth.lease_duration else float("inf"))


def _read_token(setting: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"the file of {setting} cannot be read: {error}") from error


def find_place(secret: Secret) -> _Place:
    """Read the key and the options of a secret: ``PATH/FIELD``, or ``PATH`` and ``options.field``. Pure."""
    key, _, query = secret.key.partition("?")
    options = dict(secret.options)
    path, _, field = key.rpartition("/")
    if "field" in options:
        path, field = key, options.pop("field")
    version = options.pop("version", "")
    if options:
        raise SecretError(f"{min(options)!r} is no option of vault; it has field and version")
    if query and (found := _VERSION.fullmatch(query)) and version in ("", found[1]):
        version = found[1]
    elif query or (version and not _VERSION.fullmatch(f"version={version}")):
        raise SecretError("the version does not fit; write ?version=N behind the key, or options.version")
    parts = path.split("/")
    if not field or any(part in ("", ".", "..") for part in parts) or parts[0] in _NO_SECRETS:
        raise SecretError("the key is no secret; write PATH/FIELD, such as kv/data/prod/db/password, or options.field")
    return _Place(path, field, version)


def _read_answer(data: JsonObject, place: _Place, token: str) -> Answer:
    """Read the field of an answer; one of KV version 2 has its data a level deeper, with metadata beside it."""
    inner, metadata, version = data.get("data"), data.get("metadata"), None
    if isinstance(metadata, dict) and "version" in metadata and (inner is None or isinstance(inner, dict)):
        data, version = inner or {}, int(metadata["version"])
    value = data.get(place.field)
    if value is None:
        raise SecretError(f"the secret {place.path!r} has no field {place.field!r}")
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if token in text:
        raise SecretError(f"{place.path!r} is about the token of this server")
    return Answer(text.encode(), version)
