"""Sending of the trace of a run, made from its rows, to the receiver that its definition names (runtime 28.2)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from dagbook import tries
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.alerts.deliveries import DeliveryRow
from dagbook.db.repositories.runs import run_traces
from dagbook.executors.http.posting import Poster, Request
from dagbook.runs import trace_context
from dagbook.runs.evaluation.environment import make_environment
from dagbook.runs.notifications.trace_spans import CUT, MOST_SPANS, make_spans
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import run_loading
from dagbook.spec.model import Otel
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.tracing import read_endpoint
from dagbook.telemetry import otlp
from dagbook.telemetry.otlp import Span
from dagbook.tries import Answer

_SERVICE = "dagu"  # the name of the resource without another one, as dashboards have it
_MOST_IN_PART = 512  # spans of a request
_LIMIT_SECONDS, _PART_SECONDS, _LONGEST_PART_SECONDS = 90.0, 10.0, 60.0
_MOST_HEADERS, _SHORTEST_SECRET = 50, 8
_OWN_HEADERS = frozenset(
    ("content-type", "content-length", "content-encoding", "transfer-encoding", "host", "connection", "accept-encoding")
)


class _Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace, and where it is sent to."""

    otel: Otel
    spans: list[Span]
    mask: Callable[[str], str]

    @property
    def is_cut(self) -> bool:
        return bool(self.spans) and any(each.get("key") == CUT for each in self.spans[0].attributes)


class TraceSender:
    """Sends traces; one for a process, since it keeps its connections."""

    def __init__(self, database: Database, library: DefinitionCache, context: ServerContext) -> None:
        self._database = database
        self._library = library
        self._context = context
        self._poster = Poster(context.machine.egress)

    async def close(self) -> None:
        """Close the connections; harmless without any."""
        await self._poster.close()

    async def send(self, row: DeliveryRow) -> Answer:
        """Send a trace in parts, again from the first after a failure; raises DefinitionGoneError and AppError."""
        if row.run_id is None or row.attempt is None:
            return Answer(text="the run was deleted", is_refused=True)
        trace = await self._database.read(self._load, row.run_id, row.attempt)
        try:
            url = read_endpoint(trace.otel)
        except ValueError as error:  # what is written there has variables
            return Answer(text=trace.mask(str(error)), is_refused=True)
        try:
            async with asyncio.timeout(tries.lasting(_LIMIT_SECONDS).total_seconds()):
                answer = await self._post(trace, url)
        except TimeoutError:
            return Answer(text=f"the trace could not be sent within {_LIMIT_SECONDS:.0f} s")
        if answer.is_sent and trace.is_cut:
            text = f"the first {MOST_SPANS:,} spans of a larger trace"
            return msgspec.structs.replace(answer, text=f"{text}; {answer.text}" if answer.text else text)
        return answer

    def _load(self, connection: ReadConnection, key: int, attempt: int) -> _Trace:
        context, encrypter = self._context, self._context.encrypter
        found = run_loading.load(connection, self._library, encrypter, key, attempt)
        root = found.run.root_id or key
        owned, dag = run_loading.claim_ended(found, encrypter, context.machine.credentials), found.loaded.require().dag
        otel = make_environment(owned, dag, context).evaluate_otel(dag.otel or Otel())
        owned.masker.add_secrets(_secrets_of(otel))
        rows = run_traces.find(connection, key, attempt, root, MOST_SPANS + 1)
        parent = trace_context.find(found.inputs.variables) or trace_context.of_new_run(key, root)
        return _Trace(otel=otel, spans=make_spans(rows, key, parent), mask=owned.masker.mask)

    async def _post(self, trace: _Trace, url: str) -> Answer:
        headers, resource = choose_headers(trace.otel.headers), {"service.name": _SERVICE} | trace.otel.resource
        limit = min(trace.otel.timeout_seconds, _LONGEST_PART_SECONDS)
        answer = Answer(text="there is nothing to send", is_sent=True)
        for start in range(0, len(trace.spans), _MOST_IN_PART):
            body = otlp.encode(resource, trace.spans[start : start + _MOST_IN_PART])
            answer = await self._poster.post(
                Request(url, body, headers), trace.mask, limit if limit > 0 else _PART_SECONDS
            )
            if not answer.is_sent:
                break
        return answer


def choose_headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a definition that a request has, at most 50: none that describes its body."""
    chosen = {name: value.strip() for name, value in given.items() if name.lower() not in _OWN_HEADERS}
    return dict(list(chosen.items())[:_MOST_HEADERS])


def _secrets_of(otel: Otel) -> list[str]:
    """Return what the receiver is sent to know its sender by: an answer may repeat it."""
    try:
        parts = urlsplit(otel.endpoint)
        in_address = [parts.password or "", *re.split("[/?&=]", f"{parts.path}?{parts.query}")]
    except ValueError:
        in_address = []
    in_headers = [part for value in otel.headers.values() for part in (value, *value.split())]
    return [part for part in (*in_address, *in_headers) if len(part) >= _SHORTEST_SECRET]
