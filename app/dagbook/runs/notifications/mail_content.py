"""What a mail about a run contains: texts that are rendered from its rows, and the logs of its steps (runtime 27)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import runs, step_details
from dagbook.db.repositories.runs.runs import NodeRow, ShownCommand
from dagbook.db.repositories.runs.step_details import Summaries
from dagbook.engine.plan import Plan
from dagbook.executors.mail.message import Attachment, Email
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.model import ClaimedRun
from dagbook.runs.notifications import mail_rendering
from dagbook.runs.notifications.mail_rendering import Mask
from dagbook.runs.notifications.notices import Notification
from dagbook.runs.output.output_follower import STDOUT
from dagbook.runs.server_context import ServerContext

LOGS_BYTES = 5 * 1024 * 1024  # encoded they are a third larger, and many mail servers accept at most 10 MB


class MailedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Run that mails are written about."""

    owned: ClaimedRun
    plan: Plan
    environment: RunEnvironment
    mask: Mask


async def compose(database: Database, context: ServerContext, run: MailedRun, notification: Notification) -> Email:
    """Return the mail about a run, whose settings are evaluated."""
    mail = notification.mail
    found = await database.read(lambda connection: read_content(connection, run.owned, with_logs=mail.attach_logs))
    base = context.page_base
    subject = mail_rendering.MailContext(
        dag=run.plan.dag,
        dag_name=run.owned.dag_name,
        run_id=run.owned.run_id,
        params=run.owned.inputs.params,
        state=notification.state,
        status=notification.status,
        commands=found.commands,
        host=context.identity.host,
        link=f"{base}{found.page}" if base else "",
        is_local_link=not context.public_url,
        summaries=[(row.name, row.text) for row in found.summaries.rows],
        more_summaries=found.summaries.has_more,
    )
    rendered = (subject, context.zone, run.mask)
    return Email(
        sender=mail.sender,
        to=mail.to,
        subject=mail_rendering.title(mail.prefix, subject, run.mask),
        html=await asyncio.to_thread(mail_rendering.render, *rendered),
        text=await asyncio.to_thread(mail_rendering.render_text, *rendered),
        attachments=found.logs,
    )


def share_budget(sizes: Mapping[int, int], budget: int) -> dict[int, int]:
    """Share bytes equally among logs; what a small log leaves over goes to the others."""
    parts: dict[int, int] = {}
    for number, (key, size) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
        parts[key] = min(size, budget // (len(sizes) - number))
        budget -= parts[key]
    return parts


class MailContent(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluated commands by position, the path of the run's page, the summaries of its steps, and attached logs."""

    commands: Mapping[int, str]
    page: str
    summaries: Summaries
    logs: tuple[Attachment, ...] = ()


def read_content(connection: ReadConnection, run: ClaimedRun, *, with_logs: bool) -> MailContent:
    """Read the commands, the page, the summaries and the logs of a run; a sub-run has a page below that of its root."""
    nodes = runs.get_nodes(connection, run.key, run.attempt)
    above = runs.get_name(connection, run.lineage.root) if run.lineage else (run.dag_name,)
    return MailContent(
        commands={row.position: msgspec.convert(row.shown, ShownCommand).text for row in nodes if row.shown},
        page="/".join(("/dag-runs", *(quote(part, safe="") for part in (*above, run.run_id)))),
        summaries=step_details.find_summaries(connection, run.key, run.attempt),
        logs=_read_logs(connection, nodes) if with_logs else (),
    )


def _read_logs(connection: ReadConnection, nodes: Sequence[NodeRow]) -> tuple[Attachment, ...]:
    """Read the stdout of steps, without handlers; that of a step retained by a retry is in an earlier attempt."""
    keys = {
        row.position: StreamKey(row.run_id, row.log_attempt or row.attempt, row.position, STDOUT)
        for row in nodes
        if row.position >= 0
    }
    names = {row.position: row.name.replace("/", "_") for row in nodes}
    attempts = {(key.run, key.attempt) for key in keys.values()}
    counted = {(run, number): logs.count_bytes(connection, run, number, STDOUT) for run, number in attempts}
    sizes = {position: counted[key.run, key.attempt].get(position, 0) for position, key in keys.items()}
    sizes = {position: size for position, size in sizes.items() if size}
    parts = share_budget(sizes, LOGS_BYTES)
    found = []
    for position in sorted(parts):
        start = sizes[position] - parts[position]
        data = logs.read_from(connection, keys[position], start)
        found.append(Attachment(f"{names[position]}.out", trim_to_line(data, start), "text/plain"))
    return tuple(found)


def trim_to_line(data: bytes, start: int) -> bytes:
    """Trim the tail of a log, from offset ``start``, to complete lines, and prepend a note on the omitted bytes."""
    if not start:
        return data
    skipped, newline, rest = data.partition(b"\n")
    if not newline:  # one line longer than the limit
        return b"[the first %d bytes are left out]\n" % start + data
    return b"[the first %d bytes are left out]\n" % (start + len(skipped) + 1) + rest
