"""HTML template of the mails about runs. Pure; all texts of users are masked, then escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape

import msgspec

from dagbook.engine.state import RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.spec.model import Dag, Pair
from dagbook.spec.params.param_text import format_pairs

Mask = Callable[[str], str]
_MAX_CHARACTERS = 2_000
_GREEN, _AMBER, _RED, _GREY = "#1a7f37", "#9a6700", "#cf222e", "#57606a"
_COLOURS = {
    "succeeded": _GREEN,
    "partially_succeeded": _AMBER,
    "running": "#0969da",
    "failed": _RED,
    "aborted": _RED,
}
_HEADINGS = ("#", "Step", "Started", "Finished", "Status", "Command", "Error")
_CELL = "padding:4px 8px;border:1px solid #d0d7de;text-align:left;vertical-align:top"
_TEXT = "white-space:pre-wrap;font-family:monospace"


def unmasked(text: str) -> str:
    """Return the text unchanged, for runs without secrets."""
    return text


class MailContext(msgspec.Struct, frozen=True, kw_only=True):
    """Run that a mail is about; ``commands`` of the steps that were evaluated, by position."""

    dag: Dag
    dag_name: str
    run_id: str
    params: Sequence[Pair]
    state: RunState
    status: RunStatus
    commands: Mapping[int, str] = {}


def title(prefix: str, subject: MailContext, mask: Mask = unmasked) -> str:
    """Return the subject of a mail: prefix, name of the DAG, status."""
    return mask(f"{prefix} {subject.dag_name} ({subject.status.label})".strip())


def render(subject: MailContext, zone: tzinfo, mask: Mask = unmasked) -> str:
    """Render the body of a mail: the run, and a table of its steps without handlers."""
    state = subject.state
    facts = {
        "Run": subject.run_id,
        "Params": format_pairs(subject.params) or "(none)",
        "Started": _time(state.started_at, zone),
        "Finished": _time(state.finished_at, zone),
        **({"Error": state.error} if state.error else {}),
    }
    rows: list[tuple[str | NodeStatus, ...]] = []
    for key, (step, node) in enumerate(zip(subject.dag.steps, state.steps, strict=True)):
        summary = f"call {step.call.name}" if step.call else step.command_line or step.script or step.executor.type
        command = subject.commands.get(key) or summary
        times = (_time(node.started_at, zone), _time(node.finished_at, zone))
        rows.append((str(key + 1), step.name, *times, node.status, command, node.error))
    return _page(subject, facts, rows, mask)


def _time(instant: datetime | None, zone: tzinfo) -> str:
    return "-" if instant is None else instant.astimezone(zone).isoformat(" ", "seconds")


# -- HTML --------------------------------------------------------------------------------------------------------


def _page(
    subject: MailContext, facts: Mapping[str, str], rows: Iterable[Sequence[str | NodeStatus]], mask: Mask
) -> str:
    head_rows = "".join(f"<tr>{_cell(name, mask, 'th')}{_cell(text, mask)}</tr>" for name, text in facts.items())
    head = "".join(_cell(heading, mask, "th") for heading in _HEADINGS)
    body = "\n".join(f"<tr>{''.join(_cell(cell, mask) for cell in row)}</tr>" for row in rows)
    return (
        "<!DOCTYPE html>\n"
        '<html><head><meta charset="utf-8"></head><body style="font-family:sans-serif;font-size:14px">\n'
        f"<h2>{_badge(subject.status)} {_safe(subject.dag_name, mask)}</h2>\n"
        f'<table style="border-collapse:collapse">{head_rows}</table>\n<h3>Steps</h3>\n'
        f'<table style="border-collapse:collapse"><tr>{head}</tr>\n{body}\n</table>\n</body></html>\n'
    )


def _cell(value: str | NodeStatus, mask: Mask, tag: str = "td") -> str:
    inside = _badge(value) if isinstance(value, NodeStatus) else _safe(value, mask)
    return f'<{tag} style="{_CELL}{";" + _TEXT if tag == "td" else ""}">{inside}</{tag}>'


def _badge(status: RunStatus | NodeStatus) -> str:
    colour = _COLOURS.get(status.label, _GREY)
    return f'<span style="color:#fff;background:{colour};padding:2px 6px;border-radius:4px">{status.label}</span>'


def _safe(text: str, mask: Mask) -> str:
    masked = mask(text)
    return escape(masked if len(masked) <= _MAX_CHARACTERS else f"{masked[:_MAX_CHARACTERS]}…")
