"""A small OpenID Connect provider on loopback: it logs everybody in without asking, as the account it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from litestar import Litestar, Request, Response, get, post
from litestar.response import Redirect

CLIENT_ID, CLIENT_SECRET = "dagbook", "secret of the client"
AnyRequest = Request[Any, Any, Any]


class Provider:
    """What the provider says and does can be changed while it runs."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = make_key()
        self.key_id = "first"
        self._codes: dict[str, dict[str, str]] = {}
        self.reset()

    def reset(self) -> None:
        """Be an honest provider again, with the same key."""
        self.account: dict[str, Any] = {"sub": "4711", "email": "ann@example.org", "email_verified": True}
        self.claims: dict[str, Any] = {}  # over those of an ID token; None leaves one out
        self.userinfo: dict[str, Any] = {}  # over the account
        self.algorithm = "RS256"
        self.signing_key: RSAPrivateKey | str | None = None
        self.failing: set[str] = set()
        self.description: dict[str, Any] = {}
        self.seen: list[str] = []

    def discovery(self) -> dict[str, Any]:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }
        return {name: value for name, value in {**said, **self.description}.items() if value is not None}

    def keys(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def authorize(self, query: dict[str, str]) -> str:
        code = secrets.token_urlsafe(8)
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def exchange(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        query = self._codes.pop(form.get("code", ""), None)
        pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        posted = (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        if (
            query is None
            or form["redirect_uri"] != query["redirect_uri"]
            or not (posted or authorization == f"Basic {pair}")
            or not _is_verifier(form.get("code_verifier", ""), query)
        ):
            return None
        self.seen.append("post" if posted else "basic")
        return {"access_token": "of the account", "token_type": "Bearer", "id_token": self.id_token(query["nonce"])}

    def id_token(self, nonce: str = "", **claims: Any) -> str:
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 600,
            "nonce": nonce,
            **self.account,
            **self.claims,
            **claims,
        }
        payload = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(payload, self.signing_key or self.key, algorithm=self.algorithm, headers={"kid": self.key_id})


def _is_verifier(verifier: str, query: dict[str, str]) -> bool:
    """Whether a verifier belongs to the challenge that the browser brought (RFC 7636, 4.6)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return query["code_challenge_method"] == "S256" and query["code_challenge"] == digest


def make_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def _application(provider: Provider) -> Litestar:
    def answer(name: str, body: dict[str, Any] | None) -> Response[Any]:
        if name in provider.failing:
            return Response("<html>", status_code=200, media_type="text/html")
        return Response(body or {"error": "invalid_grant"}, status_code=200 if body is not None else 400)

    @get("/.well-known/openid-configuration")
    async def discovery() -> Response[Any]:
        return answer("discovery", provider.discovery())

    @get("/keys")
    async def keys() -> Response[Any]:
        provider.seen.append("keys")
        return answer("keys", provider.keys())

    @get("/authorize")
    async def authorize(request: AnyRequest) -> Redirect:
        return Redirect(provider.authorize(dict(request.query_params)), status_code=302)

    @post("/token")
    async def token(request: AnyRequest) -> Response[Any]:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        return answer("token", provider.exchange(form, request.headers.get("authorization", "")))

    @get("/userinfo")
    async def userinfo(request: AnyRequest) -> Response[Any]:
        known = request.headers.get("authorization") == "Bearer of the account"
        return answer("userinfo", {**provider.account, **provider.userinfo} if known else None)

    return Litestar([discovery, keys, authorize, token, userinfo], openapi_config=None, logging_config=None)


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """Serve a provider in the test's own loop, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        provider = Provider(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(_application(provider), log_config=None, lifespan="off", ws="none"))
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        yield provider
        server.should_exit = True
        await serving


async def begin(client: httpx.AsyncClient, back_to: str = "/dags?page=2") -> httpx.Response:
    """Ask for a login; gives the answer that leads to the provider."""
    return await client.get("http://localhost/oidc-login", params={"originalURL": back_to})


async def come_back(client: httpx.AsyncClient, away: httpx.Response) -> httpx.Response:
    """Let the provider log the browser in, and follow it back."""
    async with httpx.AsyncClient() as browser:
        back = await browser.get(away.headers["location"])
    return await client.get(back.headers["location"])


async def log_in(client: httpx.AsyncClient) -> httpx.Response:
    return await come_back(client, await begin(client))
