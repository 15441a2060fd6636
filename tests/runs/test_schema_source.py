"""A params schema from a URL is bounded in size and time, and cut off."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from time import monotonic

import pytest

from dagbook.egress.rules import Egress
from dagbook.errors import BadRequestError
from dagbook.runs.evaluation import schema_source
from dagbook.runs.evaluation.schema_source import read_schema
from tests.executors.web import Answer, Web, plain

_HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


async def refusal(web: Web, answer: Answer, *deny: str) -> str:
    web.answers["/schema"] = answer
    with pytest.raises(BadRequestError) as caught:
        await read_schema(f"{web.url}/schema", (), Egress(deny))
    assert caught.value.message.startswith("params.schema: ")
    return caught.value.message


async def test_a_schema_is_fetched(web: Web) -> None:
    web.answers["/schema"] = plain(200, '{"type": "object"}')
    assert await read_schema(f"{web.url}/schema", (), Egress()) == {"type": "object"}
    assert web.asked[0].headers["accept-encoding"] == "identity"


async def test_an_endless_schema_is_cut_off_at_a_mebibyte(web: Web) -> None:
    sent = 0
    cut_off = asyncio.Event()

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(_HEAD)
        try:
            while True:
                writer.write(b" " * 65536)
                await writer.drain()
                sent += 65536
        except OSError:
            cut_off.set()

    assert "more than 1024 KiB" in await refusal(web, endless)
    async with asyncio.timeout(10):
        await cut_off.wait()
    assert sent < 64 * 1024 * 1024  # what the buffers of both ends take


@pytest.mark.parametrize("head", [b"", _HEAD], ids=["silent", "trickling"])
async def test_a_slow_schema_is_cut_off(web: Web, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_source, "_FETCH_SECONDS", 0.5)

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(b" " if head else b"")
            await writer.drain()
            await asyncio.sleep(0.05)

    begun = monotonic()
    assert "took longer than 0.5 seconds" in await refusal(web, slow)
    assert monotonic() - begun < 10


def test_a_fetch_takes_at_most_thirty_seconds() -> None:
    assert schema_source._FETCH_SECONDS == 30


async def test_a_compressed_schema_is_refused_unread(web: Web) -> None:
    bomb = plain(200, gzip.compress(b" " * 100_000_000), "Content-Encoding: gzip")
    assert "compressed" in await refusal(web, bomb)


async def test_a_redirect_is_not_followed(web: Web) -> None:
    assert "status 302" in await refusal(web, plain(302, "", "Location: /other"))


async def test_a_schema_at_a_denied_address_is_not_fetched(web: Web) -> None:
    assert "egress_deny" in await refusal(web, plain(200, "{}"), "127.0.0.0/8")
    assert web.asked == []


async def test_a_schema_that_is_too_deep_is_refused(web: Web) -> None:
    assert "is no JSON Schema" in await refusal(web, plain(200, '{"a":' * 5000 + "1" + "}" * 5000))


async def test_a_schema_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.json").write_text("{}" + " " * 1024 * 1024)
    with pytest.raises(BadRequestError, match="more than 1024 KiB"):
        await read_schema("big.json", (str(tmp_path),), Egress())
