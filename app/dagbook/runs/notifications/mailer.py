"""Mails about runs: which ones a change of a run requires, what they contain, and sending them (runtime 27).

They are sent after the commit that causes them, without retries; failures are logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import runs, step_details
from dagbook.db.repositories.runs.runs import EventRow, NodeRow, ShownCommand
from dagbook.db.repositories.runs.step_details import Summaries
from dagbook.engine.plan import Plan
from dagbook.engine.state import Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.executors.mail import smtp
from dagbook.executors.mail.message import Attachment, Email
from dagbook.executors.mail.smtp import MailError
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.model import ClaimedRun
from dagbook.runs.notifications import mail_rendering
from dagbook.runs.notifications.mail_rendering import Mask, unmasked
from dagbook.runs.output.output_follower import STDOUT
from dagbook.runs.server_context import ServerContext
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.model import Dag, Mail, MailOn, Smtp

LOGS_BYTES = 5 * 1024 * 1024  # encoded they are a third larger, and many mail servers accept at most 10 MB
_SUCCESSFUL = (RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED)
_CONCURRENT = 8
_LAST_WAIT_SECONDS = smtp.LIMIT_SECONDS
_LIMIT_SECONDS = 2 * smtp.LIMIT_SECONDS  # includes reading logs
_EVALUATION_SECONDS = smtp.LIMIT_SECONDS  # for commands inside the settings
_log = logging.getLogger(__name__)


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Mail to send: its settings and the state of the run."""

    mail: Mail
    state: RunState

    @property
    def status(self) -> RunStatus:
        """The status of the run; while handlers run, the one it will finish with."""
        return self.state.outcome or self.state.status


def may_notify(dag: Dag) -> bool:
    """Whether a run of this DAG can cause a mail."""
    return dag.smtp is not None and any((dag.error_mail, dag.info_mail, dag.wait_mail))


def notifications_for(plan: Plan, state: RunState, events: Sequence[EventRow]) -> Iterator[Notification]:
    """Yield the mails for stored events; ``state`` is the state after them."""
    dag = plan.dag
    for event in events:
        key, changed = event.position, event.data
        if key is None and changed.get("phase") == Phase.CLOSED:
            mail = _about_end(dag, state)
        elif key is not None and changed.get("status") == NodeStatus.FAILED and plan.step(key).mail_on_error:
            mail = dag.error_mail
        elif key is None and changed.get("rested_at") and dag.mail_on and dag.mail_on.wait:
            mail = dag.wait_mail
        else:
            continue
        if mail is not None:
            yield Notification(mail=mail, state=state)


def _about_end(dag: Dag, state: RunState) -> Mail | None:
    on = dag.mail_on or MailOn()
    # Tolerated errors count, and so do steps that were aborted with one.
    nodes = (*state.steps, *state.handlers.values())
    had_error = bool(state.error) or any(node.status is NodeStatus.ABORTED and node.error for node in nodes)
    if state.status is RunStatus.FAILED or had_error:
        return dag.error_mail if on.failure else None
    return dag.info_mail if on.success and state.status in _SUCCESSFUL else None


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


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """Run that mails are written about."""

    owned: ClaimedRun
    plan: Plan
    environment: RunEnvironment
    mask: Mask


class RunMails:
    """The mails about one run."""

    def __init__(self, mailer: RunMailer, run: _Run) -> None:
        self._mailer = mailer
        self._run = run
        self._evaluated: list[asyncio.Event] = []

    def notify(self, state: RunState, events: Sequence[EventRow]) -> None:
        """Send the mails that stored events cause."""
        for notification in notifications_for(self._run.plan, state, events):
            self._evaluated.append(evaluated := asyncio.Event())
            self._mailer.start(self._run, notification, evaluated)

    async def wait_until_evaluated(self) -> None:
        """Return when no command in the settings of a mail needs the working directory of the run any more."""
        for evaluated in self._evaluated:
            await evaluated.wait()


class RunMailer:
    """Sends the mails about runs of this process, at most 8 at a time."""

    def __init__(self, database: Database, context: ServerContext) -> None:
        self._database = database
        self._context = context
        self._turns = asyncio.Semaphore(_CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()

    def for_run(
        self, owned: ClaimedRun, plan: Plan, environment: RunEnvironment, mask: Mask = unmasked
    ) -> RunMails | None:
        """Return the mails about a run; None for one that cannot cause a mail."""
        if not may_notify(plan.dag):
            return None
        return RunMails(self, _Run(owned=owned, plan=plan, environment=environment, mask=mask))

    def start(self, run: _Run, notification: Notification, evaluated: asyncio.Event) -> None:
        """Start to send a mail; the event tells that its settings were evaluated, or that this failed."""
        task = asyncio.create_task(
            self._send_or_log(run, notification, evaluated), name=f"mail about {run.owned.run_id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: evaluated.set())

    async def stop(self) -> None:
        """Wait for the active mails as long as one may take, then cancel them."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=_LAST_WAIT_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _send_or_log(self, run: _Run, notification: Notification, evaluated: asyncio.Event) -> None:
        about = f"{run.owned.dag_name}/{run.owned.run_id}"
        try:
            async with asyncio.timeout(_EVALUATION_SECONDS):
                server = await run.environment.evaluate_struct(run.plan.dag.smtp or Smtp())
                mail = await run.environment.evaluate_struct(notification.mail)
            evaluated.set()
            async with self._turns, asyncio.timeout(_LIMIT_SECONDS):
                await self._send(run, server, msgspec.structs.replace(notification, mail=mail))
        except (MailError, ExpansionError, DatabaseUnavailable, TimeoutError) as error:
            _log.warning("the mail about run %s failed: %s", about, str(error) or "time limit exceeded")
        except asyncio.CancelledError:
            _log.warning("the mail about run %s failed: the server ended", about)
            raise
        except Exception:  # noqa: BLE001 - an error in a mail must not affect the run
            _log.exception("the mail about run %s failed", about)

    async def _send(self, run: _Run, server: Smtp, notification: Notification) -> None:
        mail = notification.mail
        found = await self._database.read(
            lambda connection: read_content(connection, run.owned, with_logs=mail.attach_logs)
        )
        base = self._context.page_base
        subject = mail_rendering.MailContext(
            dag=run.plan.dag,
            dag_name=run.owned.dag_name,
            run_id=run.owned.run_id,
            params=run.owned.inputs.params,
            state=notification.state,
            status=notification.status,
            commands=found.commands,
            host=self._context.identity.host,
            link=f"{base}{found.page}" if base else "",
            is_local_link=not self._context.public_url,
            summaries=[(row.name, row.text) for row in found.summaries.rows],
            more_summaries=found.summaries.has_more,
        )
        rendered = (subject, self._context.zone, run.mask)
        email = Email(
            sender=mail.sender,
            to=mail.to,
            subject=mail_rendering.title(mail.prefix, subject, run.mask),
            html=await asyncio.to_thread(mail_rendering.render, *rendered),
            text=await asyncio.to_thread(mail_rendering.render_text, *rendered),
            attachments=found.logs,
        )
        await smtp.send(server, email)
