"""``dagbook convert``: from files in the 2.x dialect to definitions that run."""

from __future__ import annotations

import io
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dagbook.cli import execute as run
from dagbook.spec.reading.yaml_reader import MAX_BYTES
from tests.app.dagbook import Dagbook
from tests.executors.docker_stand_in import standing_in
from tests.executors.ssh_server import USER, serving
from tests.executors.web import Web, plain
from tests.mailserver import mail_server

LATER = "max_active_runs: 2  # two\nsteps:\n  - run: echo hi\n"
CONVERTED = "maxActiveRuns: 2  # two\nsteps:\n  - command: echo hi\n"
ELSEWHERE = """\
smtp: {{host: 127.0.0.1, port: {mail}}}
env: [DOCKER_HOST: "{docker}"]
steps:
  - name: ask
    action: http.request
    with:
      method: POST
      url: {web}/path?a=b
      headers: {{X-Kind: some}}
      body: "the body"
      silent: true
  - name: far
    action: ssh.run
    with:
      command: echo far
      host: 127.0.0.1
      port: {ssh}
      user: {user}
      key: {key}
      known_host_file: {hosts}
  - name: boxed
    action: docker.run
    with: {{image: busybox, auto_remove: true, command: echo boxed}}
  - name: boxed too
    action: container.run
    with: {{image: busybox, auto_remove: true, command: echo, args: [boxed, too]}}
  - name: tell
    action: mail.send
    with:
      from: robot@example.test
      to: [ops@example.test]
      subject: Hi
      message: All is well.
"""
RUNNABLE = """\
env: [GIVEN: from env]
steps:
  - name: line
    run: echo $((1 + 2)) "$GIVEN"
  - name: lines
    run: |
      X=1
      echo ${BASH_VERSION:+bash} $X $-
    with: {shell: bash, shell_args: [-u]}
  - name: program
    action: exec
    with: {command: echo, args: [a, "b c", 5]}
  - name: verbatim
    action: exec
    with:
      command: printf
      args: ["%s|", "a;b", "it's", "*", "", 'say "x y"', "$GIVEN"]
  - name: filter
    action: jq.filter
    with: {filter: ".a | .[1]", data: {a: [1, {b: é}]}, raw: true}
  - name: pack
    action: archive.create
    with: {source: FOLDER/in, destination: FOLDER/out.tar.gz}
  - name: unpack
    action: archive.extract
    with: {source: FOLDER/out.tar.gz, destination: FOLDER/again}
  - name: child
    action: dag.run
    with: {dag: kid, params: {P: five}}
    output: CHILD
  - name: items
    action: dag.run
    with: {dag: kid, params: {P: "${ITEM}"}}
    parallel: {items: [x], max_concurrent: 1}
  - name: tolerated
    run: sh -c 'exit 3'
    continue_on: {exit_code: [3], mark_success: true}
handler_on:
  exit:
    run: echo bye
---
name: kid
params: [P: 1]
steps:
  - run: echo "P is $P"
    output: GOT
"""


def test_the_converted_definition_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "later.yaml"
    path.write_text(LATER)

    assert run(["convert", str(path)]) == 0

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (CONVERTED, "")
    assert path.read_text() == LATER


def test_a_file_can_be_converted_in_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "later.yaml"
    path.write_bytes(LATER.replace("\n", "\r\n").encode())
    path.chmod(0o640)

    assert run(["convert", str(path), "-o", str(path)]) == 0

    assert path.read_bytes() == CONVERTED.replace("\n", "\r\n").encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["later.yaml"]
    assert capsys.readouterr().err == f"{path}: converted and valid\n"
    assert run(["validate", str(path)]) == 0


def test_a_dash_reads_the_text_of_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LATER.encode())))

    assert run(["convert", "-"]) == 0

    assert capsys.readouterr().out == CONVERTED


def test_a_definition_of_ours_is_printed_unchanged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(CONVERTED)

    assert run(["convert", str(path)]) == 0

    captured = capsys.readouterr()
    assert captured.out == CONVERTED
    assert captured.err == f"{path}: is a 1.x definition already; nothing to convert\n"


def test_what_has_no_counterpart_is_listed_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "later.yaml", tmp_path / "out.yaml"
    path.write_text(LATER + "  - action: redis.get\n  - action: noop\n")

    assert run(["convert", str(path), "--output", str(out)]) == 1

    assert out.read_text() == CONVERTED + "  - action: redis.get\n  - action: noop\n"
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == f'{path}:4:5: action: the action "redis.get" has no counterpart'
    assert second.startswith(f'{path}:5:5: action: the action "noop" has no counterpart; an empty command will do')
    assert last == f"{path}: converted, but 2 parts have no counterpart and must be rewritten by hand"


def test_problems_of_the_result_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "later.yaml"
    path.write_text(LATER + "    depends: nothing\n")

    assert run(["convert", str(path)]) == 1

    assert capsys.readouterr().err.startswith(f"{path} (converted):4:14: steps[0].depends: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"\xff\xfe", "is not UTF-8 text, at byte 0"),
        (b"a: \0", "is no text"),
        (b"#" * (MAX_BYTES + 1), "is larger than 1 MiB"),
        (b"max_active_runs: 1\nsteps: [\n", "not valid YAML"),
        (b"timeout_sec: 1\ntimeout_sec: 1\n", "already given"),
    ],
)
def test_what_cannot_be_converted_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    path, out = tmp_path / "file.yaml", tmp_path / "out.yaml"
    if content is not None:
        path.write_bytes(content)

    assert run(["convert", str(path), "-o", str(out)]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert str(path) in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not out.exists()


def test_a_folder_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"Error: {tmp_path}: is no file\n"


def test_a_result_that_cannot_be_written_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "later.yaml"
    path.write_text(LATER)

    assert run(["convert", str(path), "-o", str(tmp_path / "no" / "out.yaml")]) == 1
    assert run(["convert", str(path), "-o", str(tmp_path)]) == 1

    assert capsys.readouterr().err.splitlines() == [
        f"Error: {tmp_path}/no/out.yaml: No such file or directory",
        f"Error: {tmp_path}: Is a directory",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["later.yaml"]


async def test_what_comes_out_runs(dagbook: Dagbook, tmp_path: Path) -> None:
    path, out = tmp_path / "later.yaml", tmp_path / "out.yaml"
    path.write_text(RUNNABLE.replace("FOLDER", str(tmp_path)))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("content")
    assert run(["convert", str(path), "-o", str(out)]) == 0

    ended = await dagbook.run(out.read_text())

    assert ended.status == "succeeded", {name: node.get("error") for name, node in ended.nodes.items()}
    printed = {name: await ended.log(name) for name in ("line", "lines", "program", "verbatim", "filter")}
    assert printed.pop("lines").startswith("bash 1 ")
    assert printed == {
        "line": "3 from env",
        "program": "a b c 5",
        "verbatim": 'a;b|it\'s|*||say "x y"|from env|',
        "filter": '{"b":"é"}',
    }
    assert (tmp_path / "again" / "in" / "file").read_text() == "content"
    assert '"GOT": "P is five"' in await ended.log("child")
    assert '"GOT": "P is x"' in await ended.log("items")


async def test_what_comes_out_reaches_other_machines(dagbook: Dagbook, tmp_path: Path) -> None:
    path, out, web = tmp_path / "later.yaml", tmp_path / "out.yaml", Web()
    web.answers["/path"] = plain(200, "answered")
    async with AsyncExitStack() as stack:
        await web.start()
        stack.push_async_callback(web.stop)
        sink = await stack.enter_async_context(mail_server())
        remote = await stack.enter_async_context(serving(tmp_path))
        daemon = await stack.enter_async_context(standing_in(tmp_path))
        places = {"web": web.url, "mail": sink.port, "docker": daemon.address, "ssh": remote.port, "user": USER}
        path.write_text(ELSEWHERE.format(**places, key=remote.key, hosts=remote.known_hosts))
        assert run(["convert", str(path), "-o", str(out)]) == 0

        ended = await dagbook.run(out.read_text())

        assert daemon.containers == {}
    assert ended.status == "succeeded", {name: node.get("error") for name, node in ended.nodes.items()}
    (asked,), (mail,) = web.asked, sink.mails
    assert (asked.method, asked.target, asked.headers["x-kind"]) == ("POST", "/path?a=b", "some")
    assert asked.body == b"the body"
    assert [await ended.log(name) for name in ("far", "boxed", "boxed too")] == ["far", "boxed", "boxed too"]
    assert (mail.to, mail.subject) == (["ops@example.test"], "Hi")
