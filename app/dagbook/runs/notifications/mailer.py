"""Sending of mails about runs (runtime 27), and of their traces.

A mail is stored in the commit that causes it. The process of the run has its lease, evaluates its settings while the
working directory is there, and sends it once. A mail that was not accepted, or whose process died, is sent by a server,
which loads the run from its rows. So are traces.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import msgspec
from msgspec.structs import replace

from dagbook import tries
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.alerts import deliveries, events, run_mails
from dagbook.db.repositories.alerts.deliveries import Attempt, DeliveryRow
from dagbook.db.repositories.alerts.run_mails import NewRunMail, WaitingMails
from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.plan import Plan
from dagbook.engine.state import RunState
from dagbook.errors import AppError
from dagbook.executors.mail import smtp
from dagbook.executors.mail.smtp import MailError
from dagbook.identifiers import new_run_id
from dagbook.runs.evaluation.environment import RunEnvironment, make_environment
from dagbook.runs.model import ClaimedRun
from dagbook.runs.notifications.mail_content import MailedRun, compose
from dagbook.runs.notifications.mail_rendering import Mask, unmasked
from dagbook.runs.notifications.notices import Notification, may_notify, named, notifications_for
from dagbook.runs.notifications.traces import TraceSender
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import run_loading
from dagbook.runs.store.run_loading import DefinitionGoneError
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.model import Mail, Smtp
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.tries import Answer, Fate, lasting

_log = logging.getLogger(__name__)
_CONCURRENT = 8
_LAST_WAIT_SECONDS = smtp.LIMIT_SECONDS
_LIMIT_SECONDS = 2 * smtp.LIMIT_SECONDS  # includes reading logs
_EVALUATION_SECONDS = smtp.LIMIT_SECONDS  # for commands inside the settings
_SHOWN, _LONGEST_CHANNEL = 200, 200


class _Settings(msgspec.Struct, frozen=True):
    """The evaluated settings of a mail."""

    server: Smtp
    mail: Mail


class _Rest(msgspec.Struct, frozen=True):
    """Since when a mail server fails, and when it is tried again."""

    since: datetime
    until: datetime


class _Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that is stored, with the run that it is about; ``channel`` is its mail server in the definition."""

    id: str
    channel: str
    run: MailedRun
    notification: Notification
    before: Sequence[Attempt] = ()

    @property
    def about(self) -> str:
        return f"{self.run.owned.dag_name}/{self.run.owned.run_id}"


class RunMails:
    """The mails about one run, in the process that executes it."""

    def __init__(self, mailer: RunMailer, run: MailedRun, owner: str) -> None:
        self._mailer = mailer
        self._run = run
        self._owner = owner
        self._planned: list[_Mail] = []
        self._evaluated: list[asyncio.Event] = []

    def plan(self, state: RunState, new: Sequence[EventRow], now: datetime) -> list[NewRunMail]:
        """Return the mails that new events require, to be stored in one commit with them; ``start`` sends them."""
        run, server = self._run.owned, self._run.plan.dag.smtp or Smtp()
        # The mail server as the definition writes it: its settings are not evaluated here.
        channel = self._run.mask(f"{server.host}:{server.port}" if server.port else server.host)[:_LONGEST_CHANNEL]
        mails = [
            _Mail(id=new_run_id(), channel=channel, run=self._run, notification=notification)
            for notification in notifications_for(self._run.plan, state, new)
        ]
        self._planned += mails
        key = (run.key, run.attempt)
        return [run_mails.new(mail.id, key, mail.notification.name, channel, self._owner, now) for mail in mails]

    def start(self) -> None:
        """Start to send the mails that are stored now."""
        for mail in self._planned:
            self._evaluated.append(evaluated := asyncio.Event())
            self._mailer.start(mail, evaluated)
        self._planned = []

    async def wait_until_evaluated(self) -> None:
        """Return when no command in the settings of a mail needs the working directory of the run any more."""
        for evaluated in self._evaluated:
            await evaluated.wait()


class RunMailer:
    """Sends the mails about runs of this process, and in servers traces and what is left, at most 8 at a time."""

    def __init__(self, database: Database, library: DefinitionCache, context: ServerContext) -> None:
        self._database = database
        self._library = library
        self._context = context
        self._owner, self._now = context.identity.id, context.now
        self._traces = TraceSender(database, library, context)
        self._turns = asyncio.Semaphore(_CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: set[str] = set()  # mail servers that something that was left is being sent to
        self._resting: dict[str, _Rest] = {}
        self._is_stopping = False

    def for_run(
        self, owned: ClaimedRun, plan: Plan, environment: RunEnvironment, mask: Mask = unmasked
    ) -> RunMails | None:
        """Return the mails about a run; None for one that cannot cause a mail."""
        if not may_notify(plan.dag):
            return None
        return RunMails(self, MailedRun(owned=owned, plan=plan, environment=environment, mask=mask), self._owner)

    def start(self, mail: _Mail, evaluated: asyncio.Event) -> None:
        """Start to send a mail; the event tells that its settings were evaluated, or that this failed."""
        task = self._spawn(self._send_first(mail, evaluated), f"mail about {mail.about}")
        task.add_done_callback(lambda _: evaluated.set())

    async def stop(self) -> None:
        """Wait for the active mails as long as one may take, then leave them to another process."""
        if self._tasks:
            await self._stop_sending()
        await self._traces.close()

    async def _stop_sending(self) -> None:
        self._is_stopping = True
        _, late = await asyncio.wait(self._tasks, timeout=_LAST_WAIT_SECONDS)
        self._is_stopping = False
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if late:
            with suppress(DatabaseUnavailable):  # then another process sees that this one has ended
                await self._database.write(run_mails.end_leases, self._owner)

    # -- what was left ---------------------------------------------------------------------------------------

    async def send_due(self) -> None:
        """Start to send what is due and was left, one mail at a time for each mail server that does not rest."""

        def look(connection: ReadConnection) -> tuple[datetime, Sequence[WaitingMails]]:
            now = events.read_time(connection, self._now())
            return now, run_mails.find_waiting(connection, now)

        now, waiting = await self._database.read_inline(look)
        known = {each.channel for each in waiting} | self._serving  # what is being sent is not among what waits
        self._resting = {channel: rest for channel, rest in self._resting.items() if channel in known}
        for each in waiting:
            if max(each.due_at, self._rests_until(each.channel, now)) <= now and each.channel not in self._serving:
                self._serving.add(each.channel)
                self._spawn(self._serve(each.channel), f"mails of {each.channel}")

    async def has_work(self, seconds: float) -> bool:
        """Whether a mail is being sent, or is to be sent within some seconds."""
        until = self._now() + timedelta(seconds=seconds)
        waiting = await self._database.read_inline(run_mails.find_waiting, self._now())
        times = (max(each.due_at, self._rests_until(each.channel, each.due_at)) for each in waiting)
        return bool(self._tasks) or any(at <= until for at in times)

    def _rests_until(self, channel: str, otherwise: datetime) -> datetime:
        rest = self._resting.get(channel)
        return otherwise if rest is None else rest.until

    async def _serve(self, channel: str) -> None:
        try:
            async with self._turns:
                while not self._is_stopping and channel not in self._resting_now():
                    row = await self._database.write(run_mails.claim, channel, self._owner, self._now())
                    if row is None:
                        break
                    await self._send_left(row)
        except DatabaseUnavailable as error:
            _log.warning("mails about runs could not be sent, trying again: %s", error)
        finally:
            self._serving.discard(channel)

    def _resting_now(self) -> set[str]:
        now = self._now()
        return {channel for channel, rest in self._resting.items() if rest.until > now}

    async def _send_left(self, row: DeliveryRow) -> None:
        """Send a mail or a trace that this process has claimed, from the rows of its run."""
        started, is_trace = time.monotonic(), row.purpose == deliveries.TRACE
        try:
            if is_trace:
                answer = await self._traces.send(row)
            else:
                mail = await self._database.read_inline(self._load, row)
        except DatabaseUnavailable:
            raise
        except (MailError, DefinitionGoneError, AppError) as error:
            answer = Answer(text=str(error), is_refused=True)
        except Exception:  # noqa: BLE001 - one mail must not hold up the others
            _log.exception("the %s of run %s could not be made", "trace" if is_trace else "mail", row.run_id)
            problem = "the rows of the run could not be read; the log of the server says why"
            answer = Answer(text=problem, is_refused=True)
        else:
            if not is_trace:
                await self._deliver(mail, await self._evaluate(mail))
                return
            # Once for an outage, and for a trace that is refused.
            if not (answer.is_sent or row.attempts or row.channel in self._resting):
                _log.warning("%s did not accept a trace: %s", row.channel, answer.text or answer.code)
        await self._settle(row.id, row.channel, row.attempts, answer, started, kind=row.type)

    def _load(self, connection: ReadConnection, row: DeliveryRow) -> _Mail:
        """Load the run of a mail; raises MailError, DefinitionGoneError and AppError."""
        if row.run_id is None:
            raise MailError("the run was deleted")
        context, encrypter = self._context, self._context.encrypter
        found = run_loading.load(connection, self._library, encrypter, row.run_id, row.attempt)
        dag, state = found.loaded.require().dag, found.state
        notification = named(dag, row.mail or "", state)
        if notification is None:
            raise MailError("the definition has no settings for this mail any more")
        owned = run_loading.claim_ended(found, encrypter, context.machine.credentials)
        environment = make_environment(owned, dag, context)
        run = MailedRun(owned=owned, plan=Plan.of(dag), environment=environment, mask=owned.masker.mask)
        return _Mail(id=row.id, channel=row.channel, run=run, notification=notification, before=row.attempts)

    # -- one mail --------------------------------------------------------------------------------------------

    async def _send_first(self, mail: _Mail, evaluated: asyncio.Event) -> None:
        try:
            settings = await self._evaluate(mail)
            evaluated.set()
            async with self._turns:
                # However long the database is away: nothing else would release a mail before this process ends.
                write = partial(self._database.write_patiently, ends=lambda: self._is_stopping)
                if mail.channel in self._resting_now():
                    await write(run_mails.release, mail.id, self._owner)
                elif await write(run_mails.take, mail.id, self._owner, self._now()):
                    await self._deliver(mail, settings)
        except DatabaseUnavailable as error:
            _log.warning("the mail about run %s failed: %s", mail.about, error)
        except asyncio.CancelledError:
            _log.warning("the mail about run %s failed: the server ended", mail.about)
            raise

    async def _evaluate(self, mail: _Mail) -> _Settings | Answer:
        """Return the settings of a mail, or why they cannot be evaluated."""
        environment, dag = mail.run.environment, mail.run.plan.dag
        try:
            async with asyncio.timeout(_EVALUATION_SECONDS):
                server = await environment.evaluate_struct(dag.smtp or Smtp())
                return _Settings(server, await environment.evaluate_struct(mail.notification.mail))
        except ExpansionError as error:
            return Answer(text=str(error), is_refused=True)
        except TimeoutError:
            return Answer(text=f"its settings took longer than {_EVALUATION_SECONDS:g} s", is_refused=True)
        except Exception:  # noqa: BLE001 - an error in a mail must not affect the run
            _log.exception("the settings of the mail about run %s could not be evaluated", mail.about)
            return Answer(text="its settings could not be evaluated", is_refused=True)

    async def _deliver(self, mail: _Mail, settings: _Settings | Answer) -> None:
        """Send a mail that this process has leased, and store what came of it."""
        started = time.monotonic()
        answer = settings if isinstance(settings, Answer) else await self._send(mail, settings)
        masked = replace(answer, text=mail.run.mask(answer.text))
        await self._settle(mail.id, mail.channel, mail.before, masked, started)
        if not answer.is_sent or answer.text:
            _log.warning("the mail about run %s failed: %s", mail.about, masked.text)

    async def _send(self, mail: _Mail, settings: _Settings) -> Answer:
        notification = replace(mail.notification, mail=settings.mail)
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                email = await compose(self._database, self._context, mail.run, notification)
                return await smtp.try_to_send(settings.server, email, message_id=f"<{mail.id}@dagbook>")
        except TimeoutError:
            return Answer(text="time limit exceeded")
        except DatabaseUnavailable as error:
            return Answer(text=str(error))
        except Exception:  # noqa: BLE001 - an error in a mail must not affect the run
            _log.exception("the mail about run %s could not be made", mail.about)
            return Answer(text="the mail could not be made; the log of the server says why", is_refused=True)

    async def _settle(
        self,
        mail_id: str,
        channel: str,
        before: Sequence[Attempt],
        answer: Answer,
        started: float,
        *,
        kind: str = "mail",
    ) -> None:
        """Store what came of a try; the mail server of a mail that it did not accept rests."""
        ms = round((time.monotonic() - started) * 1000)

        def store(connection: WriteConnection) -> tuple[list[Fate], datetime]:
            at = events.read_time(connection, self._now())
            attempt = Attempt(
                at=at, ms=ms, code=answer.code, text=answer.text[:_SHOWN], server=self._context.identity.host
            )
            fate = deliveries.settle(connection, mail_id, before, self._owner, answer, attempt)
            fates = [] if fate is None else [fate]
            if fate is Fate.CHANNEL and before:  # by a server: a worker may not read whom others wait for
                fates += [Fate.GIVEN_UP] * deliveries.expire(connection, channel, at - lasting(tries.GIVEN_UP_SECONDS))
            return fates, at

        fates, at = await self._database.write_patiently(store, ends=lambda: self._is_stopping)
        for fate in fates:
            self._context.metrics.count_message(kind, fate.outcome)
        if Fate.CHANNEL in fates:
            since = self._resting[channel].since if channel in self._resting else at
            self._resting[channel] = _Rest(since, at + tries.channel_pause(at - since, answer, at, tries.jitter()))
        else:
            self._resting.pop(channel, None)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
