"""What a mail about a run says, from data alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

from dagbook.engine.state import NodeState, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.runs.notifications import mail_rendering
from dagbook.spec.model import Pair
from dagbook.spec.reading.load import load

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SPEC = """
steps:
  - {name: first, command: echo one}
  - {name: second, call: child}
  - {name: third, script: echo three}
  - {name: fourth, executor: {type: mail}}
handlerOn: {exit: {command: echo handler}}
---
name: child
steps: [{name: x, command: 'true'}]
"""
HOSTILE = "</td><script>alert('x')</script>&\"'"


class Cells(HTMLParser):
    """The texts of a page, and the tags that it uses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, _attributes: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _subject(**fields: Any) -> mail_rendering.MailContext:
    nodes = (
        NodeState(
            status=NodeStatus.FAILED, started_at=AT, finished_at=AT + timedelta(seconds=5), error="exit status 1"
        ),
        NodeState(status=NodeStatus.SKIPPED),
        NodeState(),
        NodeState(status=NodeStatus.PARTIALLY_SUCCEEDED),
    )
    made: dict[str, Any] = {
        "dag": load(SPEC, name="nightly").require().dag,
        "dag_name": "nightly",
        "run_id": "run-1",
        "params": (Pair("A", "1"), Pair("B", "x y")),
        "state": RunState(
            status=RunStatus.FAILED, started_at=AT, finished_at=AT, error="step first: exit status 1", steps=nodes
        ),
        "status": RunStatus.FAILED,
    }
    return mail_rendering.MailContext(**(made | fields))


def _texts(subject: mail_rendering.MailContext, **options: Any) -> list[str]:
    return Cells(mail_rendering.render(subject, options.pop("zone", UTC), **options)).texts


def test_the_title_is_prefix_name_and_status() -> None:
    assert mail_rendering.title("[ERR]", _subject()) == "[ERR] nightly (failed)"
    assert mail_rendering.title("", _subject()) == "nightly (failed)"


def test_a_report_tells_the_run_and_each_of_its_steps() -> None:
    texts = _texts(_subject())
    assert {"nightly", "run-1", "A=1 B=x y", "step first: exit status 1", "2026-03-01 12:00:00+00:00"} < set(
        map(str.strip, texts)
    )
    assert {"first", "exit status 1", "2026-03-01 12:00:05+00:00", "partially_succeeded", "skipped"} < set(texts)
    assert {"echo one", "call child", "echo three", "mail"} < set(texts)


def test_handlers_have_no_row() -> None:
    assert "echo handler" not in _texts(_subject())
    assert "echo handler" not in mail_rendering.render_text(_subject(), UTC)


def test_a_reader_without_html_is_told_the_same() -> None:
    text = mail_rendering.render_text(_subject(host="vm", link="https://dags.example/dag-runs/nightly/run-1"), UTC)
    assert (
        text
        == """\
nightly: failed

Run:      run-1
Host:     vm
Params:   A=1 B=x y
Started:  2026-03-01 12:00:00+00:00
Finished: 2026-03-01 12:00:00+00:00
Error:    step first: exit status 1
Page:     https://dags.example/dag-runs/nightly/run-1

Steps

1. first: failed
   echo one
   exit status 1
2. second: skipped
   call child
3. third: not_started
   echo three
4. fourth: partially_succeeded
   mail
"""
    )


def test_no_line_of_a_value_looks_like_a_line_of_the_mail() -> None:
    forged = "x\nPage:     https://evil.example\r\n9. done: succeeded"
    state = RunState(status=RunStatus.FAILED, error=forged, steps=tuple(NodeState(error=forged) for _ in range(4)))
    subject = _subject(params=(Pair("P", forged),), state=state, commands={0: forged})
    lines = mail_rendering.render_text(subject, UTC).splitlines()
    assert [line for line in lines if line.startswith(("Page", "9."))] == []


def test_the_name_of_the_dag_leads_to_the_page_of_the_run() -> None:
    html = mail_rendering.render(_subject(link="https://dags.example/dag-runs/nightly/run-1?a=1&b"), UTC)
    assert '<a href="https://dags.example/dag-runs/nightly/run-1?a=1&amp;b">nightly</a>' in html


def test_without_the_url_of_the_server_a_command_leads_to_the_run() -> None:
    subject = _subject(dag_name="a b")
    assert "dagbook why 'a b' run-1" in _texts(subject)
    assert "Look:     dagbook why 'a b' run-1\n" in mail_rendering.render_text(subject, UTC)
    assert "a" not in Cells(mail_rendering.render(subject, UTC)).tags


def test_a_call_for_each_item_says_so_in_place_of_its_words_without_items() -> None:
    spec = "steps: [{call: child, parallel: [1, 2]}]\n---\nname: child\nsteps: [{command: 'true'}]\n"
    dag = load(spec, name="d").require().dag
    state = RunState(status=RunStatus.FAILED, steps=(NodeState(),))
    assert "call child for each item" in _texts(_subject(dag=dag, state=state, commands={0: 'call child FILE=""'}))


def test_an_evaluated_command_takes_the_place_of_the_written_one() -> None:
    texts = _texts(_subject(commands={0: "echo evaluated"}))
    assert "echo evaluated" in texts
    assert "echo one" not in texts


def test_a_run_without_params_says_so() -> None:
    assert "(none)" in _texts(_subject(params=()))


def test_times_are_those_of_the_servers_zone() -> None:
    assert "2026-03-01 14:00:00+02:00" in _texts(_subject(), zone=timezone(timedelta(hours=2)))


def test_nothing_that_users_write_becomes_html() -> None:
    state = RunState(status=RunStatus.FAILED, error=HOSTILE, steps=tuple(NodeState(error=HOSTILE) for _ in range(4)))
    subject = _subject(
        dag_name=HOSTILE,
        run_id=HOSTILE,
        params=(Pair(HOSTILE, HOSTILE),),
        state=state,
        commands=dict.fromkeys(range(4), HOSTILE),
    )
    cells = Cells(mail_rendering.render(subject, UTC))
    assert "script" not in cells.tags
    assert cells.texts.count(HOSTILE) == 2 + 2 * 4  # run id, the run's error, and two per step


def test_secrets_are_masked_before_they_are_escaped() -> None:
    def mask(text: str) -> str:
        return text.replace("<&>", "*******")

    subject = _subject(params=(Pair("P", "a<&>b"),), dag_name="x<&>", commands={0: "echo <&>"})
    html, text = mail_rendering.render(subject, UTC, mask), mail_rendering.render_text(subject, UTC, mask)
    assert "<&>" not in text
    assert "P=a*******b" in text
    assert "P=a*******b" in html
    assert "echo *******" in html
    assert "&lt;&amp;&gt;" not in html
    assert mail_rendering.title("<&>", subject, mask) == "******* x******* (failed)"


def test_a_text_without_end_is_cut() -> None:
    html = mail_rendering.render(_subject(commands={0: "x" * 100_000}), UTC)
    assert "x…" in html
    assert len(html) < 20_000
