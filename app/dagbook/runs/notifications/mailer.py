"""Mailer for runs: sends mails after the commit that causes them, without retries; failures are logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.engine.plan import Plan
from dagbook.engine.state import RunState
from dagbook.executors.mail import smtp
from dagbook.executors.mail.message import Email
from dagbook.executors.mail.smtp import MailError
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.model import ClaimedRun
from dagbook.runs.notifications import mail_content
from dagbook.runs.notifications.mail_content import Mask, Notification, unmasked
from dagbook.runs.server_context import ServerContext
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.model import Smtp

_CONCURRENT = 8
_LAST_WAIT_SECONDS = smtp.LIMIT_SECONDS
_LIMIT_SECONDS = 2 * smtp.LIMIT_SECONDS  # includes commands inside the settings, and reading logs
_log = logging.getLogger(__name__)

Notify = Callable[[RunState, Sequence[Mapping[str, Any]]], None]


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """Run that mails are written about."""

    owned: ClaimedRun
    plan: Plan
    environment: RunEnvironment
    mask: Mask


class RunMailer:
    """Sends the mails about runs of this process, at most 8 at a time."""

    def __init__(self, database: Database, context: ServerContext) -> None:
        self._database = database
        self._context = context
        self._turns = asyncio.Semaphore(_CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()

    def for_run(
        self, owned: ClaimedRun, plan: Plan, environment: RunEnvironment, mask: Mask = unmasked
    ) -> Notify | None:
        """Return a callback for the stored events of a run; None for a run that cannot cause a mail."""
        if not mail_content.may_notify(plan.dag):
            return None
        run = _Run(owned=owned, plan=plan, environment=environment, mask=mask)

        def notify(state: RunState, events: Sequence[Mapping[str, Any]]) -> None:
            for notification in mail_content.notifications_for(plan, state, events):
                name = f"mail about {owned.run_id}"
                task = asyncio.create_task(self._send_or_log(run, notification), name=name)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        return notify

    async def stop(self) -> None:
        """Wait for the active mails as long as one may take, then cancel them."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=_LAST_WAIT_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _send_or_log(self, run: _Run, notification: Notification) -> None:
        about = f"{run.owned.dag_name}/{run.owned.run_id}"
        try:
            async with self._turns, asyncio.timeout(_LIMIT_SECONDS):
                await self._send(run, notification)
        except (MailError, ExpansionError, DatabaseUnavailable, TimeoutError) as error:
            _log.warning("the mail about run %s failed: %s", about, str(error) or "time limit exceeded")
        except asyncio.CancelledError:
            _log.warning("the mail about run %s failed: the server ended", about)
            raise
        except Exception:  # noqa: BLE001 - an error in a mail must not affect the run
            _log.exception("the mail about run %s failed", about)

    async def _send(self, run: _Run, notification: Notification) -> None:
        server = await run.environment.evaluate_struct(run.plan.dag.smtp or Smtp())
        mail = await run.environment.evaluate_struct(notification.mail)
        found = await self._database.read(
            lambda connection: mail_content.read(connection, run.owned, with_logs=mail.attach_logs)
        )
        subject = mail_content.MailContext(
            dag=run.plan.dag,
            dag_name=run.owned.dag_name,
            run_id=run.owned.run_id,
            params=run.owned.inputs.params,
            state=notification.state,
            status=notification.status,
            commands=found.commands,
            host=self._context.identity.host,
            link=f"{self._context.public_url}{found.page}" if self._context.public_url else "",
        )
        rendered = (subject, self._context.zone, run.mask)
        email = Email(
            sender=mail.sender,
            to=mail.to,
            subject=mail_content.title(mail.prefix, subject, run.mask),
            html=await asyncio.to_thread(mail_content.render, *rendered),
            text=await asyncio.to_thread(mail_content.render_text, *rendered),
            attachments=found.logs,
        )
        await smtp.send(server, email)
