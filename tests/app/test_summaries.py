"""Summaries of steps (``$DAG_SUMMARY``): written, replaced, masked, shown in the API, in mails and by commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagbook.main import Server
from dagbook.runs.output.summaries import CUT, LIMIT_BYTES, UNREADABLE
from tests.app.dagbook import Dagbook, FinishedRun
from tests.app.program import CommandResult
from tests.app.test_secrets import ENCODED, MASK, VALUE, is_stored, retried, spec_of
from tests.mailserver import HOST, mail_server

pytestmark = pytest.mark.both_engines


async def _summaries(ended: FinishedRun, path: str = "") -> dict[str, str]:
    answer = await ended.client.get(f"{path or ended.path}/summary")
    assert answer.status_code == 200, answer.text
    return {each["step"]: each["text"] for each in answer.json()["summaries"]}


@pytest.mark.always
async def test_a_step_writes_a_summary_and_the_api_shows_it_as_text_and_as_html(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: quiet, command: 'true'}
  - {name: report, command: 'printf "# Done\\n\\n- **3** rows of <b>4</b>\\n" > "$DAG_SUMMARY"'}
handlerOn:
  exit: {script: 'echo bye >> $DAG_SUMMARY'}
"""
    ended = await dagbook.run(spec)
    assert ended.status == "succeeded"
    assert [node.get("hasSummary") for node in ended.details["nodes"]] == [None, True]
    assert ended.details["onExit"]["hasSummary"]
    found = (await ended.client.get(f"{ended.path}/summary")).json()
    assert [(each["step"], each["text"]) for each in found["summaries"]] == [
        ("report", "# Done\n\n- **3** rows of <b>4</b>\n"),
        ("onExit", "bye\n"),
    ]
    assert found["summaries"][0]["html"] == (
        "<h2>Done</h2>\n<ul>\n<li><strong>3</strong> rows of &lt;b&gt;4&lt;/b&gt;</li>\n</ul>\n"
    )
    assert "hasMore" not in found
    step = (await ended.client.get(f"{ended.path}/steps/report")).json()
    assert step["summary"] == found["summaries"][0]


async def test_a_run_without_summaries_says_so(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'true'}]\n")
    assert await _summaries(ended) == {}


async def test_several_lines_and_programs_write_to_one_file(dagbook: Dagbook) -> None:
    spec = """
steps:
  - name: a
    command:
      - echo one >> "$DAG_SUMMARY"
      - python3 -c 'import os; open(os.environ["DAG_SUMMARY"], "a").write("two\\n")'
"""
    assert await _summaries(await dagbook.run(spec)) == {"a": "one\ntwo\n"}


async def test_a_failed_step_has_its_summary(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'echo 3 of 5 failed > $DAG_SUMMARY; exit 3'}]\n")
    assert (ended.status, await _summaries(ended)) == ("failed", {"a": "3 of 5 failed\n"})


async def test_a_retry_of_a_step_replaces_the_summary_of_the_try_before(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: again
    command: |
      echo x >> {tmp_path}/a; echo "try $(wc -l < {tmp_path}/a)" >> $DAG_SUMMARY; test "$(wc -l < {tmp_path}/a)" = 3
    retryPolicy: {{limit: 2, intervalSec: 0}}
  - name: silent
    command: test -e {tmp_path}/b || {{ echo first > $DAG_SUMMARY; touch {tmp_path}/b; exit 1; }}
    retryPolicy: {{limit: 1, intervalSec: 0}}
"""
    ended = await dagbook.run(spec)
    assert ended.status == "succeeded"
    assert await _summaries(ended) == {"again": "try 3\n"}


async def test_a_retry_of_the_run_keeps_the_summary_of_a_kept_step(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - {{name: kept, command: 'echo kept > $DAG_SUMMARY'}}
  - {{name: again, command: 'echo failed > $DAG_SUMMARY; test -e {tmp_path}/mark'}}
"""
    before = await dagbook.run(spec, dagRunId="r1")
    assert await _summaries(before) == {"kept": "kept\n", "again": "failed\n"}
    (tmp_path / "mark").touch()
    for _ in range(2):
        after = await retried(dagbook, "r1")
        assert await _summaries(after) == {"kept": "kept\n", "again": "failed\n"}


async def test_a_sub_run_has_summaries_of_its_own(dagbook: Dagbook) -> None:
    spec = """
steps: [{name: call, call: inside}]
---
name: inside
steps: [{name: b, command: 'echo inner > $DAG_SUMMARY'}]
"""
    ended = await dagbook.run(spec)
    (called,) = ended.nodes["call"]["subRuns"]
    below = f"{ended.path}/sub-dag-runs/{called['dagRunId']}"
    assert (await _summaries(ended), await _summaries(ended, below)) == ({}, {"b": "inner\n"})


@pytest.mark.parametrize(
    "command",
    ["ln -s /etc/passwd $DAG_SUMMARY", "mkfifo $DAG_SUMMARY", "mkdir $DAG_SUMMARY", "ln -s /dev/zero $DAG_SUMMARY"],
)
async def test_what_is_no_regular_file_is_not_read(dagbook: Dagbook, command: str) -> None:
    ended = await dagbook.run(f"steps: [{{name: a, command: '{command}'}}]\n")
    assert (ended.status, await _summaries(ended)) == ("succeeded", {"a": UNREADABLE})


async def test_a_long_summary_is_cut(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'yes line | head -c 1000000 > $DAG_SUMMARY'}]\n")
    text = (await _summaries(ended))["a"]
    assert text.endswith(CUT)
    assert len(text.encode()) <= LIMIT_BYTES


async def test_no_secret_is_in_a_summary_in_any_form(dagbook: Dagbook, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text(VALUE)
    steps = "\n".join(
        f"  - name: {name}\n    script: |\n      {{ {command}; }} > $DAG_SUMMARY" for name, command in ENCODED.items()
    )
    ended = await dagbook.run(spec_of(file, steps))
    assert ended.status == "succeeded"
    found = await _summaries(ended)
    assert found.keys() == ENCODED.keys()
    assert all(MASK in text for text in found.values())
    assert found["raw"] == MASK
    assert not await is_stored(server, VALUE)


async def test_summaries_are_deleted_with_their_run(dagbook: Dagbook, server: Server) -> None:
    text = f"goes-{dagbook.name}"
    ended = await dagbook.run(f"steps: [{{name: a, command: 'echo {text}-$(echo text) > $DAG_SUMMARY'}}]\n")
    assert await is_stored(server, f"{text}-text")
    answer = await ended.client.post("/retention/cleanup", json={"dagName": dagbook.name, "keep": 0})
    assert answer.is_success, answer.text
    assert not await is_stored(server, f"{text}-text")


async def test_many_summaries_are_read_in_parts(dagbook: Dagbook) -> None:
    steps = "\n".join(f"  - {{name: s{number:02}, command: 'echo {number} > $DAG_SUMMARY'}}" for number in range(55))
    ended = await dagbook.run(f"type: graph\nsteps:\n{steps}\n")
    answer = (await ended.client.get(f"{ended.path}/summary")).json()
    assert (len(answer["summaries"]), answer["hasMore"]) == (50, True)
    assert [each["text"] for each in answer["summaries"]][:2] == ["0\n", "1\n"]
    big = "yes | head -c 60000 > $DAG_SUMMARY"
    steps = "\n".join(f"  - {{name: s{number:02}, command: '{big}'}}" for number in range(6))
    ended = await dagbook.run(f"type: graph\nsteps:\n{steps}\n")
    answer = (await ended.client.get(f"{ended.path}/summary")).json()
    assert (len(answer["summaries"]), answer["hasMore"]) == (4, True)


async def test_a_mail_has_the_summaries_as_html_and_as_text(dagbook: Dagbook) -> None:
    async with mail_server() as sink:
        await dagbook.run(
            f"""
smtp: {{host: {HOST}, port: {sink.port}}}
infoMail: {{from: robot@example.test, to: info@example.test}}
mailOn: {{success: true}}
steps: [{{name: report, command: 'printf "## Rows\\n\\n**3** & <i>4</i>" > $DAG_SUMMARY'}}]
"""
        )
        (mail,) = await sink.received()
    assert (
        "<h3>Summary of report</h3>\n<h3>Rows</h3>\n<p><strong>3</strong> &amp; &lt;i&gt;4&lt;/i&gt;</p>" in mail.html
    )
    assert "Summary of report\n\n  ## Rows" in mail.text.replace("\r\n", "\n")


def test_status_prints_the_summaries(command: Callable[..., CommandResult], tmp_path: Path) -> None:
    spec = tmp_path / "mine.yaml"
    spec.write_text("steps: [{name: report, command: 'printf \"# Done\\n\\n3 rows\" > $DAG_SUMMARY'}]\n")
    assert command("run", spec).status == 0
    said = command("status", "mine")
    assert said.out.endswith("\nsummary of report:\n  # Done\n  \n  3 rows\n"), said.out


def test_an_export_has_the_summary_and_an_import_reads_it(
    command: Callable[..., CommandResult], tmp_path: Path
) -> None:
    spec = tmp_path / "mine.yaml"
    spec.write_text("steps: [{name: report, command: 'echo 3 rows > $DAG_SUMMARY'}]\n")
    assert command("run", spec).status == 0
    assert command("export", tmp_path / "out").status == 0
    record = json.loads(next((tmp_path / "out").glob("data/dag-runs/mine/**/status.jsonl")).read_text())
    assert record["nodes"][0]["summary"] == "3 rows\n"
    again = ("--database-url", f"sqlite:///{tmp_path / 'again.sqlite3'}")
    assert command("import", tmp_path / "out", "--yes", "--retention-days=-1", *again).status == 0
    said: dict[str, Any] = json.loads(command("status", "mine", "--json", *again).out)
    assert said["dagRunDetails"]["nodes"][0]["hasSummary"]
    assert "3 rows" in command("status", "mine", *again).out
