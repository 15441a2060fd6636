"""Senders of events, as providers are: they repeat what was not answered, and send some events twice.

What they keep of the answers is independent of the servers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import httpx
from standardwebhooks import Webhook

from dagbook.triggers.schemes import key_of
from tests.process.server import Api

STARTED, FILTERED, DEAD = "started", "filtered", "dead"
TOKEN, GITHUB, STANDARD = "token", "github", "standard"
_COUNT = 16
_SHARE_AGAIN = 0.2
_ANSWER_SECONDS, _PAUSE_SECONDS = 120.0, 0.1
_CLIENT_SECONDS = 30.0


class Hook(NamedTuple):
    """A hook, and what its senders know."""

    name: str
    scheme: str
    secret: str

    def headers(self, key: str, body: bytes) -> dict[str, str]:
        """Return what shows who sends a body. The id that GitHub sends is another one each time, and is not signed."""
        if self.scheme == TOKEN:
            return {"X-Trigger-Token": self.secret, "Idempotency-Key": key}
        if self.scheme == GITHUB:
            digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
            return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": secrets.token_hex()}
        now = datetime.now(UTC)
        signature = Webhook(key_of(self.secret)).sign(key, now, body.decode())
        return {
            "webhook-id": key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }


def add_hook(api: Api, name: str, dag: str, scheme: str, **more: Any) -> Hook:
    """Add a hook: it filters events by their kind, and the run gets the name of an event, without which it is dead."""
    body = {
        "name": name,
        "dag": dag,
        "scheme": scheme,
        "filters": [f"json:/kind != {FILTERED}"],
        "params": {"EVENT!": "json:/event"},
        "perMinute": 60_000,
        **more,
    }
    answer = api.client.post("/triggers", json=body).raise_for_status()
    return Hook(name, scheme, str(answer.json()["secret"]))


class Event(NamedTuple):
    """An event, and what is to become of it."""

    hook: str
    name: str
    kind: str = STARTED

    @property
    def body(self) -> bytes:
        named = {} if self.kind == DEAD else {"event": self.name}
        return json.dumps({"id": self.name, "kind": self.kind, **named}).encode()


class Sent:
    """What senders know of an event: when it was first sent and answered, and each answer."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.first = time.monotonic()
        self.answered: float | None = None
        self.ids: set[str] = set()  # there has to be one
        self.accepted = 0  # answers with 202
        self.repeated = 0  # with 200
        self.lost = 0  # requests without an answer, or refused with 503
        self.refusal = ""

    def take(self, answer: httpx.Response) -> bool:
        """Keep an answer; False if the event has to be sent again."""
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.lost += 1
            return False
        if not answer.is_success:
            self.refusal = f"{self.event.name} was answered {answer.status_code}: {answer.text}"
            return True
        found = answer.json()
        self.answered = self.answered or time.monotonic()
        self.ids |= {found["eventId"], *([found["dagRunId"]] if self.event.kind == STARTED else [])}
        is_new = answer.status_code == httpx.codes.ACCEPTED
        self.accepted += is_new
        self.repeated += not is_new
        if is_new == bool(found.get("duplicate")):
            self.refusal = f"{self.event.name} was answered {answer.status_code}: {answer.text}"
        return True


class Senders:
    """Sixteen senders; each request goes to one of the ``addresses`` of servers, which may be out of date."""

    def __init__(self, seed: int) -> None:
        self.hooks: Mapping[str, Hook] = {}
        self.addresses: Sequence[str] = ()
        self.sent: dict[str, Sent] = {}
        self.seconds: list[float] = []  # until an answer
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._client = httpx.Client(timeout=_CLIENT_SECONDS)
        self._pool = ThreadPoolExecutor(_COUNT)
        self._sending: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def send(self, events: Sequence[Event], seconds: float = 0) -> None:
        """Start to send events, spread over a time, and a fifth of them twice; returns at once."""
        begin = time.monotonic()
        twice = self._random.sample(events, round(len(events) * _SHARE_AGAIN))
        times = sorted((begin + self._random.uniform(0, seconds), event) for event in [*events, *twice])
        self._sending += [self._pool.submit(self._send, event, at) for at, event in times]

    def finish(self) -> None:
        """Wait until each event is answered, or was not for too long, which is kept as a refusal."""
        for one in self._sending:
            one.result()
        self._sending.clear()

    def _send(self, event: Event, at: float) -> None:
        time.sleep(max(at - time.monotonic(), 0))  # requests are spread over a time
        with self._lock:
            sent = self.sent.setdefault(event.name, Sent(event))
        end = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < end:
            if self._ask(sent):
                return
            time.sleep(_PAUSE_SECONDS)  # as senders do before they repeat
        sent.refusal = f"{event.name} was not answered within {_ANSWER_SECONDS:g} s"

    def _ask(self, sent: Sent) -> bool:
        """Send an event once; False if it has to be sent again."""
        event, address = sent.event, self._random.choice(self.addresses)
        headers, begin = self.hooks[event.hook].headers(event.name, event.body), time.monotonic()
        try:
            answer = self._client.post(f"{address}hooks/{event.hook}", content=event.body, headers=headers)
        except httpx.TransportError:
            with self._lock:
                sent.lost += 1
            return False
        with self._lock:
            self.seconds.append(time.monotonic() - begin)
            return self.take(sent, address, answer)

    def take(self, sent: Sent, address: str, answer: httpx.Response) -> bool:
        """Keep the answer of a server; False if the event has to be sent again."""
        del address
        return sent.take(answer)

    def counts(self) -> dict[str, int]:
        return count(self.sent.values())


def count(sent: Iterable[Sent]) -> dict[str, int]:
    """Return what is shown of events that were sent."""
    found = list(sent)
    return {
        "events answered": sum(each.answered is not None for each in found),
        "answers that an event was sent before": sum(each.repeated for each in found),
        "requests without an answer, or refused with 503": sum(each.lost for each in found),
    }


def addresses_of(apis: Iterable[Api]) -> list[str]:
    """Return where senders reach servers."""
    return [str(api.client.base_url) for api in apis]
