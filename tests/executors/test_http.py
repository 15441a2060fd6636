"""The http executor against a web server on loopback (DAG format 4.6)."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dagbook.executors.contract import ExecutionFiles, Job, SetupError, StepError, Streams
from dagbook.executors.http import http
from tests.certificates import make_certificate
from tests.executors.web import Answer, Web, plain
from tests.waiting import until_written

SECRET = "hunter2"  # noqa: S105 - to be found where it must not be


@pytest.fixture
async def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def job_of(*words: str, script: str = "", **config: Any) -> Job:
    program, *args = words or ("",)
    return Job(type="http", id="1", program=program, args=tuple(args), script=script, config=config, cwd=Path("/"))


async def ask(files: ExecutionFiles, *words: str, script: str = "", **config: Any) -> bytes:
    """Run a step and give its stdout."""
    streams = Streams(files)
    try:
        assert await http.run(job_of(*words, script=script, **config), streams) == 0
    finally:
        streams.close()
    return files.stdout.read_bytes()


async def fail(files: ExecutionFiles, *words: str, script: str = "", **config: Any) -> str:
    """Run a step that fails with exit code 1, and give its error."""
    with pytest.raises(StepError) as caught:
        await ask(files, *words, script=script, **config)
    assert caught.value.exit_code == 1
    return str(caught.value)


def slowly(*pieces: bytes, proceed: asyncio.Event) -> Answer:
    """Answer piece by piece; each waits for the event."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await proceed.wait()
            proceed.clear()

    return answer


# -- what is sent ----------------------------------------------------------------------------------------------------


async def test_method_headers_query_and_body_are_sent(web: Web, files: ExecutionFiles) -> None:
    web.answers["/x"] = plain(200)
    await ask(
        files, "put", f"{web.url}/x?a=1", headers={"X-Name": "ü", "Content-Type": "a/b"}, query={"b": "2 3", "c": 4},
        body="text\n",
    )  # fmt: skip
    asked = web.asked[0]
    assert (asked.method, asked.target, asked.body) == ("PUT", "/x?a=1&b=2+3&c=4", b"text\n")
    assert (asked.headers["x-name"], asked.headers["content-type"]) == ("ü", "a/b")


async def test_a_body_of_no_stated_type_is_plain_text(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(200)
    await ask(files, "POST", web.url, body="x")
    assert web.asked[0].headers["content-type"] == "text/plain; charset=utf-8"


async def test_the_length_of_the_body_is_counted_not_believed(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(200)
    await ask(files, "POST", web.url, body="four", headers={"content-LENGTH": "99", "Transfer-Encoding": "chunked"})
    assert web.asked[0].body == b"four"


async def test_the_script_takes_the_place_of_the_config(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(200, "body")
    script = '{"SILENT": "true", "headers": {"X-From": "script"}, "unknown": 1}'
    assert await ask(files, "GET", web.url, script=script, headers={"X-Other": "config"}) == b"body"
    assert "x-other" not in web.asked[0].headers
    assert web.asked[0].headers["x-from"] == "script"


async def test_a_redirect_is_followed(web: Web, files: ExecutionFiles) -> None:
    web.answers |= {"/old": plain(302, "", "Location: /new"), "/new": plain(200, "here")}
    assert await ask(files, "GET", f"{web.url}/old", silent=True) == b"here"


async def test_credentials_do_not_go_along_to_another_host(web: Web, files: ExecutionFiles) -> None:
    other = web.url.replace("127.0.0.1", "localhost")
    web.answers |= {"/old": plain(302, "", f"Location: {other}/new"), "/new": plain(200)}
    await ask(files, "GET", f"{web.url}/old".replace("//", f"//user:{SECRET}@"))
    assert ["authorization" in asked.headers for asked in web.asked] == [True, False]


async def test_loopback_is_asked_without_the_proxy(
    web: Web, files: ExecutionFiles, closed_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{closed_port}")
    web.answers["/"] = plain(200, "direct")
    assert await ask(files, "GET", web.url, silent=True) == b"direct"


async def test_the_proxy_of_the_environment_is_asked(
    web: Web, files: ExecutionFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", web.url)
    web.answers["http://example.invalid/x"] = plain(200, "through the proxy")
    assert await ask(files, "GET", "http://example.invalid/x", silent=True) == b"through the proxy"


# -- what is printed -------------------------------------------------------------------------------------------------


async def test_the_text_form_is_status_sorted_headers_and_body(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(201, "body\n", "x-b: 2", "ETag: 1", "X-B: 1", reason="Created")
    head = b"201 Created\nConnection: close\r\nContent-Length: 5\r\nEtag: 1\r\nX-B: 2\r\nX-B: 1\r\n"
    assert await ask(files, "POST", web.url) == head + b"body\n"


async def test_a_status_without_a_reason_gets_its_usual_one(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(404, reason="")
    assert await fail(files, "GET", web.url) == f"http: {web.host} answered 404 Not Found"


async def test_silent_prints_only_the_body(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(299, b"\x00\xff")
    assert await ask(files, "GET", web.url, silent=True) == b"\x00\xff"


@pytest.mark.parametrize("status", [304, 400, 500])
async def test_another_status_fails_the_step_and_is_never_silenced(
    web: Web, files: ExecutionFiles, status: int
) -> None:
    web.answers["/"] = plain(status, reason="Sad")
    assert await fail(files, "GET", web.url, silent=True) == f"http: {web.host} answered {status} Sad"
    assert files.stdout.read_bytes().startswith(f"{status} Sad\n".encode())


async def test_the_json_form_is_one_document_with_numbers_as_they_came(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(200, '{"b": 1.50, "a": [12345678901234567890, "é"]}', "X-A: 1", "x-a: 2")
    lines = (await ask(files, "GET", web.url, json=True)).decode().split("\n ")
    assert lines == [
        "{", '"status_code": 200,', '"headers": {',
        ' "Connection": [', '  "close"', " ],", ' "Content-Length": [', '  "46"', " ],",
        ' "X-A": [', '  "1",', '  "2"', " ]", "},",
        '"body": {', ' "a": [', "  12345678901234567890,", '  "é"', " ],", ' "b": 1.50', "}\n}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"z": {"y": -0, "b": 1e2}, "a": [{"d": 1, "c": 2}]}', '{"a":[{"c":2,"d":1}],"z":{"b":1e2,"y":-0}}'),
        ('{"b": 1, "a": "' + "x" * 70_000 + '"}', '{"a":"' + "x" * 70_000 + '","b":1}'),
    ],
)
async def test_the_json_form_sorts_members_by_name(web: Web, files: ExecutionFiles, body: str, shown: str) -> None:
    web.answers["/"] = plain(200, body)
    found = (await ask(files, "GET", web.url, json=True, silent=True)).decode()
    assert "".join(found.partition('"body": ')[2].split()) == shown + "}"


async def test_the_silent_json_form_holds_the_body_alone(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(200, "[]")
    found = json.loads(await ask(files, "GET", web.url, json=True, silent=True))
    assert found == {"status_code": 0, "headers": None, "body": []}


async def test_the_json_form_of_a_failure_is_never_silenced(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(503, "{}", reason="Busy")
    assert await fail(files, "GET", web.url, json=True, silent=True) == f"http: {web.host} answered 503 Busy"
    assert json.loads(files.stdout.read_bytes())["status_code"] == 503


@pytest.mark.parametrize("body", ["", "no", "[1] 2", "[NaN]", "[" * 100_000])
async def test_the_json_form_prints_nothing_of_a_body_that_is_no_json(
    web: Web, files: ExecutionFiles, body: str
) -> None:
    web.answers["/"] = plain(200, body)
    assert "answered 200 Fine, and the body is not JSON" in await fail(files, "GET", web.url, json=True)
    assert files.stdout.read_bytes() == b""


async def test_the_json_form_has_a_limit(web: Web, files: ExecutionFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_JSON_BYTES", 1024**2)
    web.answers["/"] = plain(200, f'["{"x" * 1024**2}"]')
    assert "is larger than 1 MiB, too much for the json form" in await fail(files, "GET", web.url, json=True)


async def test_a_body_is_written_while_it_arrives(web: Web, files: ExecutionFiles) -> None:
    proceed = asyncio.Event()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n"
    web.answers["/"] = slowly(chunked, b"5\r\nlast\n\r\n0\r\n\r\n", proceed=proceed)
    step = asyncio.create_task(ask(files, "GET", web.url))
    assert await until_written(files.stdout, "first") == "200 OK\nfirst\n"
    proceed.set()
    await until_written(files.stdout, "last")
    proceed.set()
    assert await step == b"200 OK\nfirst\nlast\n"


# -- gzip ------------------------------------------------------------------------------------------------------------


async def test_gzip_is_undone_and_no_longer_mentioned(web: Web, files: ExecutionFiles) -> None:
    body = b"x" * 1_000_000
    web.answers["/"] = plain(200, gzip.compress(body), "Content-Encoding: gzip")
    assert await ask(files, "GET", web.url) == b"200 Fine\nConnection: close\r\n" + body


async def test_gzip_that_the_step_itself_asked_for_is_left_alone(web: Web, files: ExecutionFiles) -> None:
    packed = gzip.compress(b"body")
    web.answers["/"] = plain(200, packed, "Content-Encoding: gzip")
    assert await ask(files, "GET", web.url, silent=True, headers={"Accept-Encoding": "gzip"}) == packed


async def test_an_answer_without_a_body_may_call_it_gzip(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"
    assert await ask(files, "HEAD", web.url) == b"200 OK\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("body", "fault"),
    [(b"not gzip", "declared as gzip but is not"), (gzip.compress(b"body")[:-3], "ended before it was complete")],
    ids=["no gzip at all", "cut short"],  # bytes as names differ by the second in which the file is read
)
async def test_broken_gzip_fails_the_step(web: Web, files: ExecutionFiles, body: bytes, fault: str) -> None:
    web.answers["/"] = plain(200, body, "Content-Encoding: gzip")
    assert fault in await fail(files, "GET", web.url)


# -- what is wrong with the step -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ((), "the step has no command"),
        (("GET",), "the command has no URL"),
        (("G(T", "http://127.0.0.1"), "does not start with a method"),
        (("GET", "nothing"), "must start with http:// or https:// and a host"),
        (("GET", "ftp://127.0.0.1"), "must start with http:// or https:// and a host"),
        (("GET", "http:///x"), "must start with http:// or https:// and a host"),
        (("GET", "http://127.0.0.1:port"), "the URL is not valid"),
        (("GET", "http://[::1"), "the URL is not valid"),
        (("GET", "http://127.0.0.1/\n"[:-1] + "\x01"), "the URL is not valid"),
    ],
)
async def test_an_invalid_command_is_reported_with_the_syntax(
    files: ExecutionFiles, words: tuple[str, ...], fault: str
) -> None:
    error = await fail(files, *words)
    assert fault in error
    assert "write the command as METHOD URL" in error


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"timeout": "soon"}, 'http: timeout: expected a whole number, found "soon"'),
        ({"timeout": -1}, "http: timeout: expected 0 or more, found -1"),
        ({"silent": "maybe"}, "http: silent: expected true or false"),
        ({"headers": ["a"]}, "http: headers: expected a map of texts"),
        ({"query": "a=1"}, "http: query: expected a map of texts"),
        ({"body": {"a": 1}}, "http: body: expected a text, found a map"),
        ({"headers": {"a b": "c"}}, "http: headers: a name of a header may hold only"),
        ({"headers": {"X": "a\r\nY: b"}}, "http: headers.X: a header must not hold line ends"),
    ],
)
async def test_a_wrong_config_names_the_key(files: ExecutionFiles, config: dict[str, Any], fault: str) -> None:
    with pytest.raises(SetupError, match="http: ") as caught:
        await ask(files, "GET", "http://127.0.0.1", **config)
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize("script", ["not json", "[]", '"text"', "{}{}", "[" * 100_000])
async def test_a_script_that_is_no_json_object_is_refused(files: ExecutionFiles, script: str) -> None:
    with pytest.raises(SetupError, match="http: script: expected a JSON object"):
        await ask(files, "GET", "http://127.0.0.1", script=script)


# -- what goes wrong on the way --------------------------------------------------------------------------------------


async def test_a_refused_connection_is_reported(files: ExecutionFiles, closed_port: str) -> None:
    error = await fail(files, "GET", f"http://{closed_port}/")
    assert error == f"http: {closed_port}: the connection was refused; does the server run, and is the port right?"


async def test_an_unknown_host_is_reported(files: ExecutionFiles) -> None:
    assert await fail(files, "GET", "http://no-such-host.invalid/") == (
        "http: no-such-host.invalid: the name of the host is not known"
    )


async def test_a_request_over_its_timeout_fails(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = slowly(b"", proceed=asyncio.Event())
    error = await fail(files, "GET", web.url, timeout=1)
    assert error == f"http: {web.host}: the request took longer than its timeout of 1 s"


async def test_redirects_without_end_are_given_up(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(302, "", "Location: /")
    assert await fail(files, "GET", web.url) == f"http: {web.host}: more than 10 redirects followed one another"


async def test_a_redirect_to_something_else_is_refused(web: Web, files: ExecutionFiles) -> None:
    web.answers["/"] = plain(302, "", "Location: file:///etc/passwd")
    assert "redirect to something that is not an http or https URL" in await fail(files, "GET", web.url)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_an_invalid_or_incomplete_response_is_reported(web: Web, files: ExecutionFiles, answer: bytes) -> None:
    web.answers["/"] = answer
    assert "ended before the answer was complete, or the answer is not HTTP" in await fail(files, "GET", web.url)


async def test_an_unusable_proxy_is_reported(files: ExecutionFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"gopher://{SECRET}")
    error = await fail(files, "GET", "http://example.invalid")
    assert error.startswith("http: the proxy that the server's environment names cannot be used")


async def test_a_cancelled_request_ends_at_once_with_its_connection(web: Web, files: ExecutionFiles) -> None:
    closed = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nstarted\n")
        await reader.read()
        closed.set()

    web.answers["/"] = wait
    step = asyncio.create_task(ask(files, "GET", web.url))
    await until_written(files.stdout, "started")
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    async with asyncio.timeout(5):
        await closed.wait()


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Web]:
    server = Web()
    context, _ = make_certificate(tmp_path)
    await server.start(context)
    server.answers["/"] = plain(200, "secure")
    yield server
    await server.stop()


async def test_an_untrusted_certificate_is_refused(secure: Web, files: ExecutionFiles) -> None:
    error = await fail(files, "GET", secure.url)
    assert error.startswith(f"http: {secure.host}: its certificate could not be verified (self-signed certificate)")
    assert not secure.asked


async def test_verification_can_be_skipped(secure: Web, files: ExecutionFiles) -> None:
    assert await ask(files, "GET", secure.url, silent=True, skiptlsverify=True) == b"secure"


async def test_an_authority_can_be_trusted(
    secure: Web, files: ExecutionFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    http._tls.cache_clear()
    try:
        assert await ask(files, "GET", secure.url, silent=True) == b"secure"
    finally:
        http._tls.cache_clear()


async def test_tls_to_a_port_without_tls_is_reported(files: ExecutionFiles) -> None:
    def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(400))
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "TLS failed" in await fail(files, "GET", f"https://127.0.0.1:{port}")


# -- what must not be logged -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/500", "/half", "/redirect"])
async def test_secrets_show_neither_in_errors_nor_in_any_log(
    web: Web, files: ExecutionFiles, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    web.answers |= {
        "/500": plain(500),
        "/half": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        "/redirect": plain(302, "", f"Location: ftp://user:{SECRET}@x/"),
    }
    url = f"{web.url}{path}?token={SECRET}".replace("//", f"//user:{SECRET}@")
    error = await fail(files, "GET", url, debug=True, silent=True, headers={"X-Key": SECRET}, body=SECRET)
    assert SECRET in web.asked[0].headers["x-key"]
    assert SECRET not in error + files.stderr.read_text() + caplog.text


@pytest.mark.parametrize("url", [f"http://user:a/{SECRET}@host", f"http://user:{SECRET}@[", f"{SECRET}://host"])
async def test_an_invalid_url_is_not_repeated(files: ExecutionFiles, url: str) -> None:
    assert SECRET not in await fail(files, "GET", url)


async def test_debug_logs_request_and_response_to_stderr(web: Web, files: ExecutionFiles) -> None:
    web.answers["/x"] = plain(200, "body")
    await ask(files, "GET", f"{web.url}/x?a=b", debug=True, headers={"X-Key": "k"})
    lines = files.stderr.read_text().splitlines()
    assert lines[0] == f"> GET {web.url}/x?..."
    assert "> x-key: ..." in lines
    assert lines[-1].startswith("< HTTP/1.1 200 after ")
