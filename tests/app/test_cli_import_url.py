"""``dagbook import --url``: definitions and runs of a running server of API v2, here one of Dagbook."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.app.program import CommandLine, CommandResult, end
from tests.conftest import ROOT
from tests.dagu_home import START, DaguHome, node, succeeded, text

KEEP = "--retention-days=-1"
HANDLED = "steps:\n  - {name: a, command: 'true'}\nhandlerOn:\n  init: {command: 'true'}\n"


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """A server with an imported home: output, outputs, params, a sub-run, and an init handler, which no API tells."""
    source = DaguHome(tmp_path / "old home")
    source.definition("etl", suspended=True)
    one = node("one", stdout=source.log("one.out", b"first\nsecond\n"), outputVariables={"OUT": "OUT=x"})
    one["step"]["output"] = "OUT"
    two = node("two", 2, error="failed: exit status 3", stderr=source.log("two.err", b"bad\n"), retryCount=1)
    two["stdout"] = source.log("two.out", b"")
    params: dict[str, Any] = {"params": "A=x y B=2", "paramsList": ["A=x y", "B=2"]}
    source.run("etl", "run-1", succeeded([one, two], status=2, **params))
    call = node("call", children=[{"dagRunId": "sub1", "params": "X=1"}])
    call["step"] = {"name": "call", "childDag": {"name": "etl"}}
    root = source.run("top", "called", succeeded([call]), spec="steps:\n  - name: call\n    call: etl\n")
    parent = {"name": "top", "id": "called"}
    source.sub_run(root, "sub1", succeeded(name="etl", parent=parent, root=parent))
    source.definition("handled", HANDLED)
    source.run("handled", "run-2", succeeded([node("a")], onInit=node("onInit")), at=START, spec=HANDLED)
    server = CommandLine(_made(tmp_path / "server"), retention_days="-1")
    said = await server.run("import", source.path, "--yes", KEEP)
    assert (said.status, said.err) == (0, "")
    async with server.server() as url:
        yield url


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def _details(line: CommandLine, name: str, run_id: str) -> dict[str, Any]:
    said = await line.run("status", name, run_id, "--json")
    assert said.status == 0, said.err
    found: dict[str, Any] = json.loads(said.out)["dagRunDetails"]
    return found


async def test_a_server_is_imported_with_its_definitions_and_runs(address: str, tmp_path: Path) -> None:
    here = CommandLine(_made(tmp_path / "here"))
    said = await here.run("import", "--url", address, "--yes", "--json", KEEP)
    report = json.loads(said.out)
    counts = {name: report[name]["imported"] for name in ("definitions", "suspended", "runs")}
    assert (said.status, said.err, counts) == (0, "", {"definitions": 2, "suspended": 1, "runs": 3})
    assert report["stored"] == {"subRuns": 1, "attempts": 4, "steps": 6, "logBytes": 17}
    assert {finding["outcome"] for finding in report["findings"]} == {"changed"}
    new = await _details(here, "etl", "run-1")
    told = ("statusLabel", "params", "startedAt", "finishedAt", "revision")
    expected = ("failed", "A=x y B=2", text(START), text(START + timedelta(seconds=3)), 1)
    assert tuple(new[name] for name in told) == expected
    assert new["nodes"][1]["error"] == "failed: exit status 3"
    again = json.loads((await here.run("import", "--url", f"{address}/api/v2", "--yes", "--json", KEEP)).out)
    assert [again[name]["present"] for name in ("definitions", "runs")] == [2, 3]


async def _compare(*arguments: str) -> CommandResult:
    script = [sys.executable, str(ROOT / "scripts" / "measuring" / "compare-import")]
    return await end(await asyncio.create_subprocess_exec(*script, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE))


async def test_what_an_import_has_made_different_is_printed(address: str, tmp_path: Path) -> None:
    here = CommandLine(_made(tmp_path / "here"), retention_days="-1")
    assert (await here.run("import", "--url", address, "--yes", KEEP)).status == 0
    async with here.server() as copy:
        same = await _compare(f"{address}/api/v2", f"{copy}/api/v2")
        assert (same.status, ": 0 differences" in same.out, "3 run, 12 log" in same.out) == (0, True, True), same
        assert (await here.run("dag", "resume", "etl")).status == 0
        other = await _compare(f"{address}/api/v2", f"{copy}/api/v2", "0")
        difference = "DAG etl.suspended: True became False\n"
        assert (other.status, difference in other.out, ": 1 differences" in other.out) == (1, True, True), other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("http://127.0.0.1:9",), "arguments are required: new"),
        (("http://127.0.0.1:9", "http://127.0.0.1:9", "many"), "argument runs: invalid int value: 'many'"),
        (("http://127.0.0.1:9/api/v2", "http://127.0.0.1:9"), "http://127.0.0.1:9/api/v2/dags?perPage=1000 cannot be"),
        (("127.0.0.1", "127.0.0.1"), "127.0.0.1/dags?perPage=1000 cannot be read: unknown url type"),
    ],
)
async def test_servers_that_cannot_be_compared_are_named(arguments: tuple[str, ...], message: str) -> None:
    said = await _compare(*arguments)
    assert (said.status, message in said.err, "Traceback" in said.err) == (2, True, False), said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--url", "ftp://x"), "--url: it is not the http or https address of a server"),
        (("--url", "http://127.0.0.1:9"), "http://127.0.0.1:9 cannot be reached"),
        (("--url", "http://ann:secret@127.0.0.1:9"), "http://127.0.0.1:9 cannot be reached"),
        ((), "name either a home or a server, with --url"),
        ((".", "--url", "http://127.0.0.1:9"), "name either a home or a server, with --url"),
    ],
)
def test_an_address_that_does_not_answer_is_one_sentence(
    command: Callable[..., CommandResult], arguments: tuple[str, ...], message: str
) -> None:
    said = command("import", "--dry-run", *arguments)
    assert (said.status != 0, message in said.err, "Traceback" in said.err) == (True, True, False), said.err


ANSWERS = {
    "a page": (200, b"<html></html>", "is not a server of API v2: /dags: the answer is not a JSON object"),
    "a list": (200, b"[]", "is not a server of API v2: /dags: the answer is not a JSON object"),
    "a move": (302, b"{}", "is not a server of API v2: /dags: the server answers 302"),
    "a failure": (500, b"{}", "is not a server of API v2: /dags: the server answers 500"),
    "a refusal": (401, b"{}", "refuses the request; give a token with --token-file"),
    "other types": (200, b'{"dags": 7, "dagRuns": {"a": 1}}', ""),
    "other types of entries": (200, b'{"dags": [7, {"fileName": 7}, {}], "dagRuns": [7, {"name": []}]}', ""),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_server_that_answers_something_else_is_named(command: Callable[..., CommandResult], kind: str) -> None:
    status, body, message = ANSWERS[kind]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = command("import", "--dry-run", "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert (message in said.err, "Traceback" in said.err) == (True, False), said.err
    assert (said.status, bool(said.err)) == ((1, True) if message else (said.status, False))
