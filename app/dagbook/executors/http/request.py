"""The request of an http step (DAG format 4.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

import httpx
import msgspec

from dagbook import __version__
from dagbook.executors.config import Config
from dagbook.executors.contract import Job, StepError
from dagbook.spec.reading.rendering import parse_json

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_COMPUTED = frozenset({"content-length", "transfer-encoding"})  # computed from the body
_LONGEST_TIMEOUT_SECONDS = 10**9
_FORM = "write the command as METHOD URL, for example: GET https://example.com/status"
_DEFAULT_HEADERS = ((b"User-Agent", f"dagbook/{__version__}".encode()), (b"Accept-Encoding", b"gzip"))
_DEFAULT_COUNT = len(_DEFAULT_HEADERS)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request; ``timeout`` is in seconds, 0 for none."""

    method: str
    url: httpx.URL
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    timeout: int
    silent: bool
    debug: bool
    json: bool
    verify: bool

    @property
    def host(self) -> str:
        """Host and port: the only part of the URL that an error may contain."""
        port = f":{self.url.port}" if self.url.port else ""
        return f"{self.url.host}{port}"

    @property
    def decodes(self) -> bool:
        """Whether the executor has asked for gzip itself, and so decodes it."""
        return not any(name.lower() == b"accept-encoding" for name, _ in self.headers[_DEFAULT_COUNT:])


def read(job: Job) -> Request:
    """Read the request of a job. Raises SetupError for the config, StepError for the command."""
    config = Config(_values(job), "http")
    query = config.mapping("query")
    body = config.text("body").encode("utf-8", "replace")
    return Request(
        timeout=config.integer("timeout", least=0, most=_LONGEST_TIMEOUT_SECONDS),
        silent=config.flag("silent"),
        debug=config.flag("debug"),
        json=config.flag("json"),
        verify=not config.flag("skipTLSVerify"),
        headers=_headers(config, body),
        body=body,
        method=_method(job),
        url=_url(job, query),
    )


def _values(job: Job) -> Mapping[str, object]:
    """Return the config, which a script replaces."""
    if not job.script.strip():
        return job.config
    wrong = Config({}, "http").error("script", "expected a JSON object with the keys of the config, as in {}")
    try:
        values = parse_json(job.script)
    except ValueError:
        raise wrong from None
    if not isinstance(values, dict):
        raise wrong
    return values


def _method(job: Job) -> str:
    if not job.program:
        raise StepError(f"http: the step has no command; {_FORM}")
    if not _TOKEN.match(job.program):
        raise StepError(f"http: the command does not start with a method; {_FORM}")
    return job.program.upper()


def _url(job: Job, query: Mapping[str, str]) -> httpx.URL:
    text = job.args[0].strip() if job.args else ""
    if not text:
        raise StepError(f"http: the command has no URL; {_FORM}")
    try:
        url = httpx.URL(text)
        found = [part for part in (url.query.decode(), urlencode(query, errors="replace")) if part]
        url = url.copy_with(query="&".join(found).encode()) if query else url
    except (httpx.InvalidURL, ValueError):  # the library's message may contain credentials
        raise StepError(f"http: the URL is not valid; {_FORM}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise StepError(f"http: the URL must start with http:// or https:// and a host; {_FORM}")
    return url


def _headers(config: Config, body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    given: list[tuple[bytes, bytes]] = []
    for key, text in config.mapping("headers").items():
        name, value = key.strip(), text.strip()
        if not _TOKEN.match(name):
            raise config.error("headers", "a name of a header may hold only letters, digits and !#$%&'*+-.^_`|~")
        if _CONTROL.search(value):
            raise config.error(f"headers.{name}", "a header must not hold line ends or other control characters")
        given.append((name.encode(), value.encode("utf-8", "replace")))
    kept = [header for header in given if header[0].lower().decode() not in _COMPUTED]
    if body and all(header[0].lower() != b"content-type" for header in given):
        kept.append((b"Content-Type", b"text/plain; charset=utf-8"))
    return (*_DEFAULT_HEADERS, *kept)
