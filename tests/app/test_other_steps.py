"""Steps of the types http, jq and archive in whole runs: stopped, out of time, streamed, interrupted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from dagbook.runs.recovery import ownership, supervisor
from dagbook.runs.server_context import ServerIdentity
from tests.app.dagbook import Dagbook, client_of, serving
from tests.conftest import Copies
from tests.executors.web import Answer, Web, plain

ENDLESS = "1, (def f: f; f)"
GROWING = "1, [limit(1e12; repeat(1))]"


def hanging(gone: asyncio.Event) -> Answer:
    """Begin an answer and never end it; tell when the client has gone."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nbegun\n")
        await reader.read()
        gone.set()

    return answer


def http_step(url: str, more: str = "") -> str:
    return f"""
steps:
  - name: ask
    executor: {{type: http, config: {{silent: true, timeout: 1}}}}
    command: GET {url}/x
    {more}
"""


async def test_a_stop_ends_a_request_at_once(dagbook: Dagbook, web: Web) -> None:
    gone = asyncio.Event()
    web.answers["/x"] = hanging(gone)
    run_id = await dagbook.start(http_step(web.url).replace(", timeout: 1", ""))
    await dagbook.running(run_id, "ask", "begun")
    ended = await dagbook.stop(run_id)
    assert (ended.status, ended.statuses) == ("aborted", ["aborted"])
    async with asyncio.timeout(5):
        await gone.wait()


async def test_the_time_limit_of_a_step_ends_its_request(dagbook: Dagbook, web: Web) -> None:
    gone = asyncio.Event()
    web.answers["/x"] = hanging(gone)
    ended = await dagbook.run(http_step(web.url, "timeoutSec: 1").replace(", timeout: 1", ""))
    assert (ended.status, await ended.log("ask")) == ("failed", "begun")
    assert gone.is_set()


@pytest.mark.parametrize(
    ("more", "status", "node", "asked"),
    [
        ("", "failed", "failed", 1),
        ("retryPolicy: {limit: 1, intervalSec: 0}", "failed", "failed", 2),
        ("continueOn: {failure: true, markSuccess: true}", "succeeded", "succeeded", 1),
    ],
)
async def test_a_request_over_its_own_timeout_fails_like_any_other(
    dagbook: Dagbook, web: Web, more: str, status: str, node: str, asked: int
) -> None:
    web.answers["/x"] = hanging(asyncio.Event())
    ended = await dagbook.run(http_step(web.url, more))
    assert (ended.status, ended.statuses, len(web.asked)) == (status, [node], asked)
    assert f"http: {web.host}: the request took longer than its timeout of 1 s" in ended.nodes["ask"]["error"]


async def test_a_slow_answer_is_in_the_log_while_it_arrives(dagbook: Dagbook, web: Web) -> None:
    proceed = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfirst\n")
        await proceed.wait()
        writer.write(b"last\n")

    web.answers["/x"] = answer
    run_id = await dagbook.start(http_step(web.url).replace(", timeout: 1", ""))
    await dagbook.running(run_id, "ask", "first")
    assert (await dagbook.get(run_id))["nodes"][0]["statusLabel"] == "running"
    proceed.set()
    ended = await dagbook.finished(run_id)
    assert (ended.status, await ended.log("ask")) == ("succeeded", "first\nlast")


async def test_variables_reach_url_config_and_script(dagbook: Dagbook, web: Web) -> None:
    web.answers["/v1/x"] = plain(200, "fine")
    spec = f"""
params: WHERE=v1
env:
  - KEY: k
steps:
  - name: config
    executor: {{type: http, config: {{headers: {{X-Key: "${{KEY}}"}}, silent: true}}}}
    command: GET {web.url}/${{WHERE}}/x
  - name: script
    executor: http
    command: GET {web.url}/${{WHERE}}/x
    script: |
      {{"headers": {{"X-Key": "${{KEY}}2"}}, "silent": true}}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, await ended.log("script")) == ("succeeded", "fine")
    assert [asked.headers["x-key"] for asked in web.asked] == ["k", "k2"]


def another(kind: str, address: str, version: str) -> ServerIdentity:
    found = ownership.identify(kind, address, version)
    return msgspec.structs.replace(found, id=f"{found.id}-another")


async def test_what_a_server_does_not_live_to_see_is_interrupted_for_the_next(
    copies: Copies, tmp_path: Path, web: Web, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process cannot be two servers, and half a minute is too long here: both are made up for it."""
    monkeypatch.setattr(supervisor, "_IN_PROCESS_GRACE_SECONDS", 0.05)
    web.answers["/x"] = hanging(gone := asyncio.Event())
    async for url in copies.copy():
        async with serving(url, tmp_path) as server, client_of(server) as client:
            dagbook = Dagbook(client, name)
            run_id = await dagbook.start(http_step(web.url).replace(", timeout: 1", ""))
            await dagbook.running(run_id, "ask", "begun")
        async with asyncio.timeout(5):
            await gone.wait()
        monkeypatch.setattr("dagbook.main.identify", another)
        async with serving(url, tmp_path) as server, client_of(server) as client:
            ended = await Dagbook(client, name).finished(run_id)
    assert (ended.status, ended.statuses) == ("failed", ["failed"])
    assert "interrupted: its server ended, the outcome is unknown" in ended.nodes["ask"]["error"]


# -- jq --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [ENDLESS, GROWING])
async def test_a_stop_ends_a_jq_program_that_never_would(dagbook: Dagbook, program: str) -> None:
    spec = f"steps:\n  - name: q\n    executor: jq\n    command: {program!r}\n    script: '0'\n"
    run_id = await dagbook.start(spec)
    await dagbook.running(run_id, "q", "1")
    ended = await dagbook.stop(run_id)
    assert (ended.status, ended.statuses, await ended.log("q")) == ("aborted", ["aborted"], "1")


async def test_the_time_limit_of_a_step_ends_a_jq_program_that_never_would(dagbook: Dagbook) -> None:
    spec = f"steps:\n  - name: q\n    executor: jq\n    timeoutSec: 1\n    command: {ENDLESS!r}\n    script: '0'\n"
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("failed", ["failed"])


async def test_a_jq_program_is_taken_as_it_is_written_and_its_input_evaluated(dagbook: Dagbook) -> None:
    spec = """
params: X=from-params
steps:
  - name: q
    executor: {type: jq, config: {raw: true}}
    command: '. as $X | "$X ${X} `echo x`", $X.a'
    script: '{"a": "${X}"}'
    output: FOUND
  - name: use
    command: echo "$FOUND"
"""
    ended = await dagbook.run(spec)
    assert (ended.status, await ended.log("q")) == ("succeeded", "$X ${X} `echo x`\nfrom-params")


# -- archive ---------------------------------------------------------------------------------------------------------


async def test_relative_paths_of_an_archive_step_begin_at_the_directory_of_the_run(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = f"""
workingDir: {tmp_path}
steps:
  - name: make
    command: mkdir src && echo alpha >src/a.txt
  - name: pack
    dir: not-there
    executor: {{type: archive, config: {{source: src, destination: out.tar.gz}}}}
    command: create
  - name: unpack
    executor: {{type: archive, config: {{source: "${{PWD}}/out.tar.gz", destination: back}}}}
    command: extract
"""
    ended = await dagbook.run(spec)
    assert (ended.status, (tmp_path / "back/src/a.txt").read_text()) == ("succeeded", "alpha\n")


async def test_the_error_of_an_archive_step_is_one_sentence_with_its_exit_code(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = f"""
steps:
  - name: unpack
    id: unpack
    executor: {{type: archive, config: {{source: {tmp_path}/none.tar}}}}
    command: extract
    continueOn: {{exitCode: [3]}}
  - name: see
    command: echo ${{unpack.exitCode}}
"""
    ended = await dagbook.run(spec)
    assert await ended.log("see") == "3"
    assert await ended.log("unpack", "stderr") == f"archive: the source {tmp_path}/none.tar does not exist"
