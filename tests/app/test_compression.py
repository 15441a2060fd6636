"""Which responses are compressed: long ones of the API in JSON, and event streams."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from litestar.types import Receive, Scope, Send

from dagbook.api.middleware.compression import CompressionMiddleware
from dagbook.main import Server
from tests.app.dagbook import Dagbook, serving
from tests.app.listening import listening

PLAIN = {"Accept-Encoding": "identity"}
ONE = "steps: [{name: a, command: 'true'}]\n"
RANDOM = secrets.token_hex(40_000)  # of which gzip leaves a half
SPECS = {
    "short": ONE,
    "long": "steps:\n" + "".join(f"  - {{name: s{number}, command: 'true'}}\n" for number in range(200)),
    "so long that a thread compresses it": "".join(f"# {RANDOM[number:]}\n" for number in range(5)) + ONE,
}


@pytest.fixture
async def lone(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    """A server that no other test uses: its feed is closed at the end."""
    async with serving(database_url, tmp_path) as server:
        yield server


async def test_a_long_response_is_compressed_and_a_short_one_is_not(dagbook: Dagbook) -> None:
    path = f"/dags/{dagbook.name}/spec"
    assert (await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": ONE})).status_code == 201
    for kind, spec in SPECS.items():
        assert (await dagbook.client.put(path, json={"spec": spec})).status_code == 200, kind
        packed, plain = await dagbook.client.get(path), await dagbook.client.get(path, headers=PLAIN)
        assert packed.json() == plain.json(), kind
        assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in plain.headers
        head = await dagbook.client.head(path)
        assert [head.headers[name] for name in ("etag", "content-length")] == [
            packed.headers[name] for name in ("etag", "content-length")
        ]
        is_saved = await dagbook.client.put(path, json={"spec": spec}, headers={"If-Match": packed.headers["etag"]})
        assert is_saved.status_code == 200
        assert int(plain.headers["content-length"]) == len(plain.content)
        if kind == "short":
            assert "content-encoding" not in packed.headers
            assert packed.headers["etag"] == plain.headers["etag"]
        else:
            assert packed.headers["content-encoding"] == "gzip"
            assert packed.headers["etag"] == f"W/{plain.headers['etag']}"  # a strong one has one sequence of bytes
            assert int(packed.headers["content-length"]) < len(plain.content) * 0.7


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("br, GZIP ; q=0.5", True),
        ("gzip;q=1.000, identity", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("br, gzip; q=0.000", False),
        ("notgzip", False),
        ("gzip;q=" + "0" * 4000 + "x", False),
    ],
)
async def test_a_client_says_whether_it_takes_gzip(dagbook: Dagbook, accepted: str, is_packed: bool) -> None:
    headers = {"Accept-Encoding": accepted}
    openapi = await dagbook.client.get("/openapi.json", headers=headers)
    script = await dagbook.client.get("http://localhost/assets/any/main.js", headers=headers)
    for answer in (openapi, script):
        assert answer.status_code == 200
        assert ("content-encoding" in answer.headers) is is_packed
        assert answer.headers["vary"] == "Accept-Encoding"


async def test_a_text_stays_as_it_is(dagbook: Dagbook) -> None:
    done = await dagbook.run("steps: [{name: a, command: seq 5000}]\n")
    download = await dagbook.client.get(f"{done.path}/steps/a/log/download")
    assert len(download.content) > 20_000
    assert "content-encoding" not in download.headers


@pytest.mark.parametrize(
    ("path", "kind", "coding"),
    [
        ("/api/v2/dags", b"application/json", "gzip"),
        ("/api/v2/openapi", b"application/vnd.oai.openapi+json; charset=utf-8", "gzip"),
        ("/api/v2/dags", b"text/plain", None),
        ("/api/v2/auth/session", b"application/json", None),  # its length would tell about the secret in it
    ],
)
async def test_path_and_media_type_decide(path: str, kind: bytes, coding: str | None) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"Content-Type", kind), (b"Content-Length", b"4000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 4000, "more_body": False})

    compressing = CompressionMiddleware(app, "/api/v2")
    transport = httpx.ASGITransport(compressing)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(path)
    assert answer.content == b"x" * 4000
    assert answer.headers.get("content-encoding") == coding
    assert len(answer.headers.get_list("content-length")) == 1
    assert (int(answer.headers["content-length"]) < 100) is (coding is not None)


async def test_each_part_of_a_compressed_event_stream_can_be_read_when_it_comes(lone: Server, name: str) -> None:
    async with listening(lone) as door, door.client.stream("GET", "/events") as answer:
        assert answer.headers["content-encoding"] == "gzip"
        parts, decoder, text = answer.aiter_raw(), zlib.decompressobj(wbits=31), ""
        while "event: ready" not in text:
            text += decoder.decompress(await anext(parts)).decode()
        await door.client.post("/dags", json={"name": name, "spec": ONE})
        while f'"name":"{name}"' not in text:
            text += decoder.decompress(await anext(parts)).decode()


async def test_an_event_stream_is_plain_for_a_client_that_takes_no_gzip(lone: Server) -> None:
    async with listening(lone) as door, door.client.stream("GET", "/events", headers=PLAIN) as answer:
        assert "content-encoding" not in answer.headers
        assert b"event: ready" in await anext(answer.aiter_raw())
