"""A flood of forged requests: ``python -m tests.chaos.triggers.flood HOST PORT HOOK RATE SECONDS``.

A process of its own, so that it does not delay the sender beside it. At the end it writes how many answers there were
with each status, as JSON. A connection that the server closes is opened again.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import sys
import time
from collections import Counter

_CONNECTIONS = 64
_BODY_BYTES = (20, 1_000, 20_000)
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def forge(hook: str) -> bytes:
    """Return a request that its sender has not signed: to the hook, or to one that does not exist."""
    body = secrets.token_bytes(random.choice(_BODY_BYTES))
    name = random.choice((hook, hook, f"none-{secrets.token_hex(4)}"))
    header = random.choice(
        (
            f"X-Hub-Signature-256: sha256={secrets.token_hex(32)}",
            f"X-Trigger-Token: {secrets.token_hex()}",
            f"Stripe-Signature: t={int(time.time())},v1={secrets.token_hex(32)}",
            f"webhook-id: x\r\nwebhook-timestamp: {int(time.time())}\r\nwebhook-signature: v1,{secrets.token_hex()}",
            "X-Nothing: at all",
        )
    )
    head = f"POST /api/v2/hooks/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{header}\r\n\r\n"
    return head.encode() + body


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hook: str) -> str:
    writer.write(forge(hook))
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    found = _LENGTH.search(head)
    await reader.readexactly(int(found[1]) if found else 0)
    return head.split(None, 2)[1].decode()


async def _send(host: str, port: int, hook: str, pause: float, end: float, counts: Counter[str]) -> None:
    """Send one request after the other, at a constant rate if the server keeps up."""
    due = time.monotonic() + random.uniform(0, pause)
    writer = None
    while (now := time.monotonic()) < end:
        await asyncio.sleep(max(due - now, 0))  # the rate is what is tried
        due = max(due + pause, now - 1)  # what is late by more than a second is not made up for
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, port)
            counts[await _ask(reader, writer, hook)] += 1
        except (OSError, asyncio.IncompleteReadError):
            counts["closed"] += 1
            writer = None
    if writer is not None:
        writer.close()


async def flood(host: str, port: int, hook: str, rate: float, seconds: float) -> Counter[str]:
    """Send so many requests each second; returns how many answers there were by their statuses."""
    counts: Counter[str] = Counter()
    end, pause = time.monotonic() + seconds, _CONNECTIONS / rate
    await asyncio.gather(*(_send(host, port, hook, pause, end, counts) for _ in range(_CONNECTIONS)))
    return counts


if __name__ == "__main__":
    _host, _port, _hook, _rate, _seconds = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(flood(_host, int(_port), _hook, float(_rate), float(_seconds)))))
