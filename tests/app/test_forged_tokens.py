"""Tokens that nobody was given: none of them lets anybody in (promises S3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dagbook.auth.roles import Role
from tests.app.people import SECRET, People, Person

pytestmark = pytest.mark.always

Forge = Callable[[dict[str, Any], str], str]
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def sign(header: object, payload: object, secret: str | bytes = SECRET, digest: str = "sha256") -> str:
    """Sign anything, also what no library would."""
    signed = f"{part(header)}.{part(payload)}"
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{signed}.{part(hmac.digest(key, signed.encode(), digest))}"


def header(**values: Any) -> dict[str, Any]:
    return {"alg": "HS256", "typ": "JWT", **values}


def unsigned(algorithm: str) -> Forge:
    return lambda claims, _: f"{part(header(alg=algorithm))}.{part(claims)}."


def claiming(**values: Any) -> Forge:
    return lambda claims, _: sign(header(), {**claims, **values})


def without(name: str) -> Forge:
    return lambda claims, _: sign(header(), {key: value for key, value in claims.items() if key != name})


def tampered(**values: Any) -> Forge:
    """Keep the true signature over other claims."""

    def forge(claims: dict[str, Any], token: str) -> str:
        head, _, signature = token.split(".")
        return f"{head}.{part({**claims, **values})}.{signature}"

    return forge


def doubled(token: str) -> str:
    """Add members to the claims that come after the true ones, under the true signature."""
    head, claims, signature = token.split(".")
    true = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
    raised = part(true[:-1] + b',"role":"admin","username":"admin"}')
    return f"{head}.{raised}.{signature}"


FORGERIES: dict[str, Forge] = {
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg NONE": unsigned("NONE"),
    "alg nOnE": unsigned("nOnE"),
    "alg empty": unsigned(""),
    "alg none with a signature": lambda claims, token: f"{unsigned('none')(claims, '')}{token.split('.')[2]}",
    "alg left out": lambda claims, _: sign({"typ": "JWT"}, claims),
    "alg is a list": lambda claims, _: sign(header(alg=["HS256"]), claims),
    "HS384": lambda claims, _: sign(header(alg="HS384"), claims, digest="sha384"),
    "HS512": lambda claims, _: sign(header(alg="HS512"), claims, digest="sha512"),
    "RS256": lambda claims, _: jwt.encode(claims, KEY, algorithm="RS256"),
    "two algs, the last one none": lambda claims, _: sign(b'{"alg":"HS256","alg":"none"}', claims),
    "two algs, the first one none": lambda claims, _: part(b'{"alg":"none","alg":"HS256"}') + f".{part(claims)}.",
    "hs256 in small letters": lambda claims, _: sign(header(alg="hs256"), claims),
    "ES256 signed by HMAC": lambda claims, _: sign(header(alg="ES256"), claims),
    "a public key as secret": lambda claims, _: sign(header(), claims, PUBLIC),
    "RS256 signed by HMAC": lambda claims, _: sign(header(alg="RS256"), claims, PUBLIC),
    "another secret": lambda claims, _: sign(header(), claims, "another secret that is long enough too"),
    "an empty secret": lambda claims, _: sign(header(), claims, ""),
    "an empty signature": lambda _, token: token.rpartition(".")[0] + ".",
    "no signature": lambda _, token: token.rpartition(".")[0],
    "another's signature": lambda claims, _: tampered(username="x")(claims, sign(header(), {})),
    "a cut signature": lambda _, token: token[:-4],
    "kid": lambda claims, _: sign(header(kid="../../dev/null"), claims),
    "kid with SQL": lambda claims, _: sign(header(kid="' UNION SELECT 'x"), claims),
    "jku": lambda claims, _: sign(header(jku="http://127.0.0.1:1/keys"), claims),
    "jwk": lambda claims, _: sign(header(jwk={"kty": "oct", "k": part(SECRET.encode())}), claims),
    "crit": lambda claims, _: sign(header(crit=["exp"]), claims),
    "another typ": lambda claims, _: sign(header(typ="JOSE"), claims),
    "expired": claiming(exp=int(time.time()) - 1),
    "expired long ago": claiming(exp=1),
    "exp as text": claiming(exp=str(int(time.time()) + 1_000_000)),
    "exp as a fraction": claiming(exp=time.time() + 1_000_000),
    "exp true": claiming(exp=True),
    "exp null": claiming(exp=None),
    "made in the future": claiming(iat=int(time.time()) + 1_000_000),
    "not yet valid": claiming(nbf=int(time.time()) + 1_000_000),
    "another issuer": claiming(iss="https://id.example"),
    "another audience": claiming(aud="somebody"),
    "without exp": without("exp"),
    "without iat": without("iat"),
    "without uid": without("uid"),
    "without sub": without("sub"),
    "without gen": without("gen"),
    "a user that never was": claiming(uid="00000000-0000-4000-8000-000000000000"),
    "a user with NUL": claiming(uid="\0", sub="\0"),
    "sub and uid differ": claiming(sub="somebody else"),
    "uid as a list": claiming(uid=["x"]),
    "another generation": claiming(gen=2),
    "generation 0": claiming(gen=0),
    "exp infinite": lambda claims, _: sign(header(), json.dumps(claims)[:-1].encode() + b',"exp":1e999}'),
    "role raised in a second claim": lambda _, token: doubled(token),
    "role raised": tampered(role="admin"),
    "user raised": tampered(username="admin"),
    "claims that are a list": lambda claims, _: sign(header(), [claims]),
    "claims that are no JSON": lambda _, __: sign(header(), b"{"),
    "a header that is no JSON": lambda claims, _: sign(b"{", claims),
    "nested claims": lambda _, __: sign(header(), b"[" * 2000),
    "a megabyte": claiming(username="x" * 2**20),
    "five parts": lambda _, token: f"{token}.x.y",
    "dots": lambda _, __: "..",
    "nothing": lambda _, __: "",
    "bytes that are no text": lambda _, token: token + "\xff",
    "blank before": lambda _, token: " " + token,
    "a personal token that never was": lambda _, __: "dbk_" + "A" * 43,
    "the hash of a token": lambda _, token: hashlib.sha256(token.encode()).hexdigest(),
}


@pytest.fixture(scope="session")
async def viewer(people: People) -> Person:
    return await people.add(Role.VIEWER)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"])
    return claims


async def status_with(people: People, *values: str) -> int:
    async with people.client() as client:
        headers = [(b"Authorization", value.encode("latin-1")) for value in values]
        return (await client.get("/auth/me", headers=headers)).status_code


async def test_a_true_token_lets_one_in(people: People, viewer: Person) -> None:
    again = sign(header(), claims_of(viewer.token))
    assert [await status_with(people, f"Bearer {token}") for token in (viewer.token, again)] == [200, 200]


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_lets_nobody_in(people: People, viewer: Person, name: str) -> None:
    token = FORGERIES[name](claims_of(viewer.token), viewer.token)
    assert await status_with(people, f"Bearer {token}") == 401


async def test_a_token_counts_in_one_way_only(people: People, viewer: Person) -> None:
    token = viewer.token
    pair = base64.b64encode(f"{viewer.name}:correct horse".encode()).decode()
    for value in (token, f"bearer {token}", f"Bearer  {token}", f"Bearer\t{token}", f"JWT {token}", f"Basic {pair}"):
        assert await status_with(people, value) == 401


async def test_two_authorizations_are_none(people: People, viewer: Person) -> None:
    assert await status_with(people, f"Bearer {viewer.token}", f"Bearer {viewer.token}") == 401
    assert await status_with(people, f"Bearer {viewer.token}", "Bearer x") == 401


async def test_a_token_in_a_cookie_or_query_does_not_count(people: People, viewer: Person) -> None:
    async with people.client() as client:
        client.cookies.set("oidcToken", viewer.token)
        client.cookies.set("dagu_auth_token", viewer.token)
        assert (await client.get("/auth/me", params={"token": viewer.token})).status_code == 401
