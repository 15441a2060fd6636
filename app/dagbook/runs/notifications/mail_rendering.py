"""Rendering of a mail about a run, as HTML and as text (DAG format 6.7, runtime 27). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape
from shlex import join
from textwrap import indent
from typing import NamedTuple

import msgspec

from dagbook.engine.rules import own_error
from dagbook.engine.state import RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.runs.output.markdown import to_html
from dagbook.spec.model import Dag, Pair
from dagbook.spec.params.param_text import format_pairs

Mask = Callable[[str], str]
_MAX_CHARACTERS = 2_000
# The colours, fonts and sizes of the web UI (web/static/style.css), in its light theme: mails have no other.
_GREY = "#5b606a"
_COLOURS = {
    "succeeded": "#196b42",
    "partially_succeeded": "#5c6400",
    "running": "#1f5fbf",
    "failed": "#b3261e",
}
_MORE = "There are more summaries, on the page of the run."
_BODY = "font-family:Inter,system-ui,'Segoe UI',sans-serif;font-size:13px;line-height:20px;color:#1d1f23"
_HEADINGS = ("#", "Step", "Started", "Finished", "Status", "Command", "Error")
_CELL = "padding:4px 8px;border:1px solid #e3dfd6;text-align:left;vertical-align:top"
_TEXT = "white-space:pre-wrap;font-family:'JetBrains Mono',ui-monospace,monospace;font-size:12px"


def unmasked(text: str) -> str:
    """Return the text unchanged, for runs without secrets."""
    return text


class MailContext(msgspec.Struct, frozen=True, kw_only=True):
    """Run that a mail is about; ``commands`` of the steps that were evaluated, by position.

    ``link`` is the URL of its page, empty if the server does not know its own; ``is_local_link`` says that it may be
    one that only browsers of this machine reach. ``summaries`` are those of steps by name, as they are stored;
    ``more_summaries`` says that these are not all.
    """

    dag: Dag
    dag_name: str
    run_id: str
    params: Sequence[Pair]
    state: RunState
    status: RunStatus
    commands: Mapping[int, str] = {}
    host: str = ""
    link: str = ""
    is_local_link: bool = False
    summaries: Sequence[tuple[str, str]] = ()
    more_summaries: bool = False

    @property
    def label(self) -> str:
        """The status in words; a run whose approvals are open waits."""
        return "waiting" if self.state.rested_at is not None else self.status.label


def title(prefix: str, subject: MailContext, mask: Mask = unmasked) -> str:
    """Return the subject of a mail: prefix, name of the DAG, status."""
    return mask(f"{prefix} {subject.dag_name} ({subject.label})".strip())


class _Row(NamedTuple):
    """A step in the table of a mail."""

    number: str
    step: str
    started: str
    finished: str
    status: NodeStatus
    command: str
    error: str


def _facts(subject: MailContext, zone: tzinfo) -> dict[str, str]:
    state = subject.state
    facts = {
        "Run": subject.run_id,
        "Host": subject.host,
        "Params": format_pairs(subject.params) or "(none)",
        "Started": _time(state.started_at, zone),
        "Finished": _time(state.finished_at, zone),
        "Error": own_error(state.status, state.error, state.error_key, state.conditions) or state.error,
        "Page": subject.link,
    }
    if not subject.link or subject.is_local_link:
        # The command works at a terminal of the server, however browsers reach it.
        facts["Look"] = join(("dagbook", "why", subject.dag_name, subject.run_id))
    return {name: text for name, text in facts.items() if text}


def _rows(subject: MailContext, zone: tzinfo) -> Iterator[_Row]:
    """Yield the steps, without handlers."""
    for key, (step, node) in enumerate(zip(subject.dag.steps, subject.state.steps, strict=True)):
        command = subject.commands.get(key, "")
        if step.call and (step.parallel or not command):
            command = f"call {step.call.name}" + (" for each item" if step.parallel else "")
        yield _Row(
            str(key + 1),
            step.name,
            _time(node.started_at, zone),
            _time(node.finished_at, zone),
            node.status,
            command or step.command_line or step.script or step.executor.type,
            node.error,
        )


def render(subject: MailContext, zone: tzinfo, mask: Mask = unmasked) -> str:
    """Render the body of a mail as HTML: the run, and a table of its steps without handlers."""
    return _page(subject, _facts(subject, zone), _rows(subject, zone), mask)


def render_text(subject: MailContext, zone: tzinfo, mask: Mask = unmasked) -> str:
    """Render the same as text, for readers without HTML; lines of values are indented, so that none looks like ours."""
    facts = [
        f"{name + ':':10}{indent(_cut(text, mask), ' ' * 10).lstrip()}" for name, text in _facts(subject, zone).items()
    ]
    lines = [f"{_cut(subject.dag_name, mask)}: {subject.label}", "", *facts, ""]
    for name, text in subject.summaries:
        lines += [f"Summary of {_cut(name, mask)}", "", indent(text.strip(), "  "), ""]
    lines += [*([_MORE, ""] if subject.more_summaries else []), "Steps", ""]
    for row in _rows(subject, zone):
        lines.append(f"{row.number}. {_cut(row.step, mask)}: {row.status.label}")
        lines += [indent(_cut(text, mask), "   ") for text in (row.command, row.error) if text]
    return "\n".join((*lines, ""))


def _time(instant: datetime | None, zone: tzinfo) -> str:
    return "-" if instant is None else instant.astimezone(zone).isoformat(" ", "seconds")


# -- HTML --------------------------------------------------------------------------------------------------------


def _page(subject: MailContext, facts: Mapping[str, str], rows: Iterable[_Row], mask: Mask) -> str:
    head_rows = "".join(f"<tr>{_cell(name, mask, 'th')}{_cell(text, mask)}</tr>" for name, text in facts.items())
    name = _safe(subject.dag_name, mask)
    if subject.link:
        name = f'<a href="{_safe(subject.link, mask)}">{name}</a>'
    head = "".join(_cell(heading, mask, "th") for heading in _HEADINGS)
    summaries = "".join(f"<h3>Summary of {_safe(step, mask)}</h3>\n{to_html(text)}" for step, text in subject.summaries)
    summaries += f"<p>{_MORE}</p>\n" if subject.more_summaries else ""
    body = "\n".join(f"<tr>{''.join(_cell(cell, mask) for cell in row)}</tr>" for row in rows)
    return (
        "<!DOCTYPE html>\n"
        f'<html><head><meta charset="utf-8"></head><body style="{_BODY}">\n'
        f'<h2 style="font-size:20px;line-height:28px">{_badge(subject.status)} {name}</h2>\n'
        f'<table style="border-collapse:collapse">{head_rows}</table>\n{summaries}'
        '<h3 style="font-size:14px">Steps</h3>\n'
        f'<table style="border-collapse:collapse"><tr>{head}</tr>\n{body}\n</table>\n</body></html>\n'
    )


def _cell(value: str | NodeStatus, mask: Mask, tag: str = "td") -> str:
    inside = _badge(value) if isinstance(value, NodeStatus) else _safe(value, mask)
    return f'<{tag} style="{_CELL}{";" + _TEXT if tag == "td" else ""}">{inside}</{tag}>'


def _badge(status: RunStatus | NodeStatus) -> str:
    colour = _COLOURS.get(status.label, _GREY)
    return f'<span style="color:#fff;background:{colour};padding:2px 6px;border-radius:4px">{status.label}</span>'


def _safe(text: str, mask: Mask) -> str:
    return escape(_cut(text, mask))


def _cut(text: str, mask: Mask) -> str:
    masked = mask(text)
    return masked if len(masked) <= _MAX_CHARACTERS else f"{masked[:_MAX_CHARACTERS]}…"
