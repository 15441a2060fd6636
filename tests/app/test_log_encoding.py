"""A server whose steps write in another encoding (setting log_encoding)."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagbook.runs.output import output_follower
from tests.app.dagbook import Dagbook, client_of, serving

# Two lines; some bytes of these characters mean something else by themselves.
LINES = {
    "shift_jis": ("日本語ソース表", "能力"),
    "gbk": ("中文输出", "第二行"),
    "euc-kr": ("한국어 출력", "둘째"),
    "iso-8859-1": ("Größe", "é"),
    "iso-2022-jp": ("日本語", "漢字"),
    "utf-16": ("日本\u0a0a語", "a\u010a"),
}
SPEC = """
type: chain
secrets: [{{name: SEC, provider: file, key: {directory}/secret}}]
steps:
  - name: a
    command: cat {directory}/written; cat {directory}/written >&2
    stdout: {directory}/copy
  - name: b
    id: b
    command: cat {directory}/word
    output: OUT
  - name: c
    command: test "$OUT" = "$(cat {directory}/plain)"
  - name: d
    command: cmp ${{b.stdout}} {directory}/word
  - name: e
    executor: {{type: jq}}
    script: '{{"jq": "ä日"}}'
    command: .jq
  - name: f
    command: cat {directory}/written >&2; exit 3
    continueOn: {{failure: true}}
  - name: g
    command: 'true'
    preconditions: [{{condition: '`cat {directory}/word`', expected: {word}}}]
  - name: h
    command: cat {directory}/word; exit 1
    continueOn: {{output: {word}, markSuccess: true}}
handlerOn:
  exit: {{command: 'cat {directory}/word'}}
"""


@pytest.mark.parametrize("encoding", LINES)
async def test_what_steps_write_is_shown_as_text_and_kept_as_bytes(
    database_url: str, tmp_path: Path, name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_follower, "CHUNK_BYTES", 1001)  # odd, so that reads end inside of characters
    first, second = LINES[encoding]
    secret = f"geheim-{first}-{second}"
    text = f"{first}\n{second}\n" * 500
    data = f"{text}{secret}\n".encode(encoding)
    files = {"written": data, "word": f"{first}\n".encode(encoding), "plain": first.encode(), "secret": secret.encode()}
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    flags = {"log_encoding": encoding}
    async with serving(database_url, tmp_path / "home", **flags) as server, client_of(server) as client:
        ended = await Dagbook(client, name).run(SPEC.format(directory=tmp_path, word=first))
        assert [(node, shown["statusLabel"]) for node, shown in ended.nodes.items() if node != "f"] == [
            (node, "succeeded") for node in "abcdegh"
        ]
        log = f"{ended.path}/steps/a/log"
        for stream in ("stdout", "stderr"):
            assert (await client.get(f"{log}/download?stream={stream}")).content.decode() == f"{text}*******\n"
        page = (await client.get(f"{log}?offset=502&limit=2")).json()
        assert (page["content"], page["totalLines"], page["lineCount"]) == (f"{second}\n{first}", 1001, 2)
        assert (await client.get(f"{log}?tail=2")).json()["content"] == f"{second}\n*******"
        assert (await client.get(f"{log}?head=1")).json()["content"] == first
        assert await ended.log("e") == '"ä日"'
        assert await ended.log("onExit") == first
        assert ended.nodes["f"]["error"].endswith(f"{first}\n{second}\n*******")
    assert (tmp_path / "copy").read_bytes() == f"{text}*******\n".encode(encoding)


async def test_a_retry_puts_output_back_in_its_encoding(database_url: str, tmp_path: Path, name: str) -> None:
    (tmp_path / "written").write_bytes("能力\n".encode("shift_jis"))
    spec = f"""
type: chain
steps:
  - {{name: a, id: a, command: cat {tmp_path}/written}}
  - {{name: b, command: 'test -e {tmp_path}/go && cmp ${{a.stdout}} {tmp_path}/written'}}
"""
    async with (
        serving(database_url, tmp_path / "home", log_encoding="shift_jis") as server,
        client_of(server) as client,
    ):
        dagbook = Dagbook(client, name)
        ended = await dagbook.run(spec)
        assert ended.statuses == ["succeeded", "failed"]
        (tmp_path / "go").touch()
        run_id = ended.details["dagRunId"]
        answer = await client.post(f"{ended.path}/retry", json={"dagRunId": run_id})
        assert answer.status_code == 200, answer.text
        assert (await dagbook.finished(run_id)).statuses == ["succeeded", "succeeded"]


async def test_every_repetition_of_a_step_may_begin_with_a_mark_of_its_own(
    database_url: str, tmp_path: Path, name: str
) -> None:
    (tmp_path / "written").write_bytes("日\n".encode("utf-16"))
    spec = f"""
steps:
  - name: a
    command: cat {tmp_path}/written
    output: OUT
    repeatPolicy: {{repeat: while, exitCode: [0], limit: 3, intervalSec: 0}}
"""
    async with serving(database_url, tmp_path / "home", log_encoding="utf-16") as server, client_of(server) as client:
        ended = await Dagbook(client, name).run(spec)
        assert await ended.log("a") == "日\n日\n日"
