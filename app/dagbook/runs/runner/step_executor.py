"""Executor of the engine's actions on steps: executions and signals."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path

import msgspec

from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.runs.step_details import Ran
from dagbook.engine import event
from dagbook.engine.plan import node_of
from dagbook.executors import in_process, registry, shell
from dagbook.executors.cancellation import KILL
from dagbook.executors.contract import Execution, ExecutionFiles, Job, Outcome, SetupError, Streams
from dagbook.executors.process import process
from dagbook.json_values import JsonObject
from dagbook.runs.evaluation.environment import StepContext
from dagbook.runs.model import SpoolMatch
from dagbook.runs.output.output_follower import STDERR, STDOUT, Chunk
from dagbook.runs.runner import approval, execution
from dagbook.runs.runner.calls import PlannedCalls, SubRunCalls
from dagbook.runs.runner.condition_checks import ConditionChecker
from dagbook.runs.runner.journal import Journal
from dagbook.runs.runner.nodes import NodeExecution, OpenedNode
from dagbook.runs.runner.ran import describe_execution
from dagbook.runs.runner.shared_resources import SharedResources
from dagbook.runs.store.recorder import FenceLostError
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.expansion.scope import StepScope
from dagbook.spec.model import HITL, CommandLine
from dagbook.unix.unix_accounts import remove_tree

_log = logging.getLogger(__name__)


class OutputFileError(Exception):
    """A log or redirect file of a step cannot be opened; the step fails without an execution."""


class StepExecutor:
    """Executes, adopts and signals the steps of one run in this process."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._nodes = journal.nodes
        self._deps = journal.deps
        self._run = journal.deps.run
        self._environment = journal.deps.environment
        self._active: dict[int, Execution] = {}
        self._pending_signals: dict[int, str] = {}  # for executions that have no process yet
        # Executions that would die with this process; each event is set once the exit has been posted.
        self._in_process: dict[int, asyncio.Event] = {}
        self._in_process_paused = False  # this process is about to end
        self._approvals: dict[int, approval.ApprovalWait] = {}

    @cached_property
    def checks(self) -> ConditionChecker:
        """The conditions of the run."""
        return ConditionChecker(self._journal)

    @cached_property
    def _resources(self) -> SharedResources:
        return SharedResources(self._deps)

    @cached_property
    def _calls(self) -> SubRunCalls:
        deps = self._deps
        return SubRunCalls(self._run, self._environment, deps.called_dags, deps.start_sub_runs)

    @property
    def active_count(self) -> int:
        """The number of executions that are waited for; those whose texts are evaluated are not among them."""
        return len(self._active)

    # -- executions ------------------------------------------------------------------------------------------

    def may_prepare(self, key: int) -> bool:
        """Whether an execution may be prepared during the commit that starts it, without a visible effect."""
        step = self._nodes.get(key).step
        return step.executor.type in registry.COMMAND_TYPES and not (step.script or step.stdout or step.stderr)

    async def execute(self, key: int, number: int, committed: asyncio.Event | None = None) -> None:
        """Carry out an execution, from the evaluation of its texts to its end, and post the events.

        ``committed`` is set after the commit that starts it; nothing of the step runs before. None: already committed.
        """
        node = self._nodes.get(key)
        if key == event.WAIT:  # which sees other steps wait each time
            node.texts = node.env = None
        await self._reporting_failures(node, number, self._execute(node, number, node.files(number), committed))

    async def adopt(self, key: int, number: int) -> None:
        """Adopt an execution that another process started."""
        node = self._nodes.get(key)
        await self._reporting_failures(node, number, self._adopt(node, number))

    async def _reporting_failures(self, node: NodeExecution, number: int, work: Awaitable[None]) -> None:
        """Post a failed exit for every error of an execution that the runner does not handle itself."""
        try:
            await work
        except SetupError as error:
            self._fail(node, number, str(error), exit_code=error.exit_code)
        except ExpansionError as error:
            self._fail(node, number, f"a text of the step could not be evaluated: {error}")
        except OutputFileError as error:
            self._fail(node, number, str(error), prepared=False)
        except (FenceLostError, DatabaseUnavailable, asyncio.CancelledError):
            raise
        except OSError as error:
            await self._kill_active(node.key)
            self._fail(node, number, f"a file of the step could not be used: {error}")
        except Exception as error:  # noqa: BLE001 - an internal error must not leave a run unfinished
            _log.exception("step %r of run %s/%s failed", node.step.name, self._run.dag_name, self._run.run_id)
            await self._kill_active(node.key)
            self._fail(node, number, f"internal error: {error}")
        finally:
            self._active.pop(node.key, None)
            self._approvals.pop(node.key, None)
            if posted := self._in_process.pop(node.key, None):
                posted.set()

    async def _kill_active(self, key: int) -> None:
        """Kill the process of an execution whose output is not followed any more."""
        if running := self._active.get(key):
            running.kill()
            await running.wait()

    def _fail(self, node: NodeExecution, number: int, error: str, *, exit_code: int = 0, prepared: bool = True) -> None:
        exited = event.StepExited(
            key=node.key, execution=number, exit_code=exit_code, retry_code=1, error=error, prepared=prepared
        )
        self._journal.post(exited, node)

    async def _execute(
        self, node: NodeExecution, number: int, files: ExecutionFiles, committed: asyncio.Event | None = None
    ) -> None:
        environment, kind = self._environment, node.step.executor.type
        # The working directory of command substitutions.
        shell.make_directory(Path(environment.work_dir), environment.account)
        opened = await self._open(node, number, files)
        await self._plan_retry(node, committed)
        context = self._nodes.context_for(node.key, self._journal.state)
        scope = await self._evaluate(node, context, committed)
        if kind in registry.CALL_TYPES:
            await self._call(opened, scope, context)
            return
        if kind == HITL:
            config = await environment.evaluate_config(node.step.executor.config, scope, context)
            await self._ask(opened, approval.read_request(config))
            return
        if kind in registry.COMMAND_TYPES:
            running = await self._start_command(opened, self._working_context(node, scope), committed)
        else:
            job = await self._job(node, number, scope, context)
            if self._in_process_paused and self._runs_in_process(node):
                return  # it would die with this process, and is left to the next server
            running = self._start(node, lambda: execution.start_job(node, job, files))
            if isinstance(running, in_process.InProcessExecution) and not running.outlives:
                self._in_process[node.key] = asyncio.Event()
        self._journal.post(event.ExecutionStarted(key=node.key, execution=number), node)
        await self._follow_to_end(opened, running)

    async def _open(self, node: NodeExecution, number: int, files: ExecutionFiles) -> OpenedNode:
        if node.follower is not None:
            return OpenedNode(node, number, files, node.follower)
        step, environment = node.step, self._environment
        try:
            redirects = {
                STDOUT: await environment.evaluate_redirect(step.stdout),
                STDERR: await environment.evaluate_redirect(step.stderr),
            }
            follower = node.open(redirects, self._deps.context.log_limit, environment.account)
        except (OSError, ExpansionError, SetupError) as error:
            raise OutputFileError(f"an output file could not be opened: {error}") from error
        return OpenedNode(node, number, files, follower)

    async def _plan_retry(self, node: NodeExecution, committed: asyncio.Event | None) -> None:
        retry = node.step.retry
        if retry is None or (isinstance(retry.limit, int) and isinstance(retry.interval_seconds, int)):
            return  # nothing to evaluate
        evaluate = self._environment.evaluate_number
        try:
            limit = await evaluate(retry.limit, "retryPolicy.limit", committed)
            interval = await evaluate(retry.interval_seconds, "retryPolicy.intervalSec", committed)
        except SetupError as error:
            raise OutputFileError(str(error)) from error
        self._journal.post(event.RetryPlanned(key=node.key, limit=limit, interval_seconds=interval))

    async def _evaluate(self, node: NodeExecution, context: StepContext, committed: asyncio.Event | None) -> StepScope:
        """Evaluate the node's texts, once for all its executions."""
        step, environment = node.step, self._environment
        env = await self._nodes.evaluate_env(node, context, committed)
        scope = environment.scope(step.name, context, cwd=environment.directory_of(step), step_env=env)
        if node.texts is None or step.script:
            node.texts = await environment.evaluate_texts(step, scope, context, committed)
        node.records.shown = node.texts.shown if step.command else None
        node.records.ran = self._ran(node)
        return scope

    def _ran(self, node: NodeExecution) -> JsonObject:
        environment, identity = self._environment, self._deps.context.identity
        place = Ran(
            service=identity.id,
            host=identity.host,
            directory=environment.directory_of(node.step),
            account=environment.account,
        )
        return describe_execution(place, node.step, node.texts or shell.ShellTexts(), node.env or (), self._run.masker)

    def _working_context(self, node: NodeExecution, scope: StepScope) -> process.WorkingContext:
        directory = Path(self._environment.directory_of(node.step))
        return process.WorkingContext(directory, scope.process_environment(), self._environment.account)

    async def _start_command(
        self, opened: OpenedNode, working: process.WorkingContext, committed: asyncio.Event | None
    ) -> Execution:
        node = opened.node
        try:
            gated = execution.prepare(opened, working)
        except (OSError, SetupError):
            if committed is None or committed.is_set():
                raise
            await committed.wait()  # the commit may be delayed by the same cause, such as a full disk: try after it
            gated = execution.prepare(opened, working)
        try:
            if committed is not None:
                await committed.wait()
            return self._start(node, gated.release)
        except BaseException:
            gated.discard()
            raise

    async def _job(self, node: NodeExecution, number: int, scope: StepScope, context: StepContext) -> Job:
        step, environment = node.step, self._environment
        texts, working, container = node.texts or shell.ShellTexts(), self._working_context(node, scope), step.container
        return Job(
            type=step.executor.type,
            id=self._job_id(node, number),
            program=texts.program,
            args=texts.args,
            line=texts.line,
            as_written=bool(step.lines),
            following=tuple(CommandLine(each.line, each.program, each.args) for each in texts.following),
            shell=texts.shell if texts.own_shell else (),
            script=texts.script,
            values=texts.values,
            config=await environment.evaluate_config(step.executor.config, scope, context),
            container=await environment.evaluate_container(container, scope, context, node.env or ())
            if container
            else None,
            cwd=working.cwd,
            run_dir=Path(environment.work_dir),
            env=working.env,
            account=working.account,
            shared=await self._resources.resolve(),
            egress=environment.egress,
            own_files=environment.own_files,
        )

    def _job_id(self, node: NodeExecution, number: int) -> str:
        return f"{self._run.key}-{self._run.attempt}-{node.key}-{number}"

    def _start(self, node: NodeExecution, start: Callable[[], Execution]) -> Execution:
        if self._pending_signals.pop(node.key, ""):
            raise SetupError("stopped before it started")
        running = start()
        self._active[node.key] = running
        return running

    async def _follow_to_end(self, opened: OpenedNode, running: Execution) -> None:
        await self._post_exit(opened, await execution.follow(running, opened.follower, self._store_log(opened)))

    def _store_log(self, opened: OpenedNode) -> execution.StoreLog:
        async def store(chunks: list[Chunk]) -> None:
            await self._journal.store_log(opened.node, chunks, opened.number)

        return store

    async def _post_exit(self, opened: OpenedNode, ended: execution.ExecutionResult) -> None:
        if opened.node.step.script:
            shell.remove_script(opened.files, self._environment.account)
        exited = await execution.exit_event(opened, ended.outcome, self._deps.plan.dag)
        summary = opened.node.read_summary(self._environment.account)
        opened.node.records.has_summary = bool(summary)
        self._journal.post(exited, opened.node, ended.tail, summary)

    @staticmethod
    def _runs_in_process(node: NodeExecution) -> bool:
        kind = node.step.executor.type
        return kind not in registry.COMMAND_TYPES and registry.find(kind).in_process

    # -- adoption --------------------------------------------------------------------------------------------

    async def _adopt(self, node: NodeExecution, number: int) -> None:
        spool = node.records.spool  # in the spool of this server
        stored = None if spool is None else process.execution_files(node.stdout.parent, spool)
        opened = await self._open(node, number, stored or node.files(number))
        if node.step.executor.type in registry.CALL_TYPES:
            if stored is None:
                execution.save_offset(opened.files, node)
            await self._resume_calls(opened)
        elif node.step.executor.type == HITL and node.records.approval:
            await self._await_decision(opened)
        elif node.step.executor.type == HITL:  # without a record nothing was asked yet
            await self._execute(node, number, opened.files)
        elif stored is None:
            await self._resume(opened, process.lost_outcome(self._run.origin.processes_gone))
        else:
            await self._resume(opened, await self._find_process(opened))

    async def _resume(self, opened: OpenedNode, found: Execution | Outcome | None) -> None:
        """Continue an execution as it was found: ended, active, or never started (None)."""
        node, number = opened.node, opened.number
        if found is None:
            await self._restart(node, number)
        elif isinstance(found, Outcome):
            tail = await execution.drain(opened.follower, self._store_log(opened))
            await self._post_exit(opened, execution.ExecutionResult(found, tail))
        else:
            self._active[node.key] = found
            if name := self._pending_signals.pop(node.key, ""):
                self.signal(node.key, name)
            if node_of(self._journal.state, node.key).executed_at is None:
                self._journal.post(event.ExecutionStarted(key=node.key, execution=number), node)
            ended = await execution.follow(found, opened.follower, self._store_log(opened))
            if ended.outcome is not process.NEVER_RAN:
                await self._post_exit(opened, ended)
                return
            if ended.tail:  # output of an earlier execution
                await self._journal.store_log(node, ended.tail, number)
            await self._restart(node, number)

    async def _restart(self, node: NodeExecution, number: int) -> None:
        # Other file names: this server has claimed the first ones to stop a late shim, and nothing has run with them.
        files = node.files(number, again=self._run.token)
        node.records.spool = files.base
        await self._journal.store_node(node)
        await self._execute(node, number, files)

    async def _find_process(self, opened: OpenedNode) -> Execution | Outcome | None:
        """Inspect the spool files of an execution (house design section 7, recovery).

        Returns its outcome, the execution that is still active, or None if it never started and never will.
        Raises SetupError.
        """
        origin, files, node = self._run.origin, opened.files, opened.node
        if origin.processes_gone:
            return execution.read_outcome(files, origin.processes_gone)
        # That files are missing proves only in the spool and PID namespace of the execution that it never started.
        conclusive = origin.spool is SpoolMatch.OWN and not origin.other_namespace
        is_begun = node_of(self._journal.state, node.key).executed_at is not None
        if not process.has_started(files) and (is_begun or not conclusive):
            return process.lost_outcome()
        if self._runs_in_process(node):
            kind = registry.find(node.step.executor.type)
            found = in_process.find_outcome(files, adopts=kind.adopts)
            if found is not None or not files.note.exists():
                return found
            job = Job(type=node.step.executor.type, id=self._job_id(node, opened.number), cwd=Path("/"))
            return in_process.adopt(kind.adopt(), job, files)
        if origin.other_namespace:
            return process.OtherNamespaceProcess(files, self._environment.account)
        return await execution.adopt(files, self._environment.account)

    # -- approvals -------------------------------------------------------------------------------------------

    async def _ask(self, opened: OpenedNode, request: approval.ApprovalRequest) -> None:
        node, now = opened.node, self._deps.context.now()
        if not opened.follower.pending():  # else a server that died has written it
            streams = Streams(opened.files)
            streams.out(request.notice())
            streams.close()
        node.records.approval = {"since": now.isoformat(), **msgspec.to_builtins(request)}
        await self._journal.ask(node, now, request)
        await self._await_decision(opened)

    async def _await_decision(self, opened: OpenedNode) -> None:
        node, number = opened.node, opened.number
        wait = approval.ApprovalWait()
        self._approvals[node.key] = wait
        self._start(node, lambda: wait)
        # At once: the event alone would be stored with the next one, which may be days away.
        if tail := await execution.drain(opened.follower, self._store_log(opened)):
            await self._journal.store_log(node, tail, number)
        self._journal.post(event.ExecutionStarted(key=node.key, execution=number), node)
        decision = await wait.decision()
        if decision is not None:
            node.records.approval = approval.decided(node.records.approval or {}, decision)
            if node.step.output and decision.approved:
                node.records.output_name = node.step.output
                node.records.output_value = json.dumps(dict(decision.inputs), ensure_ascii=False)
        self._journal.post(approval.exit_of(node.key, number, decision), node)

    def decide(self, key: int, decision: approval.Decision) -> None:
        """End the wait of a step for its approval, if it waits here."""
        if wait := self._approvals.get(key):
            wait.decide(decision)

    # -- calls -----------------------------------------------------------------------------------------------

    async def _call(self, opened: OpenedNode, scope: StepScope, context: StepContext) -> None:
        """Call other DAGs; the ids of their runs are stored before the first of them starts."""
        node, state = opened.node, node_of(self._journal.state, opened.node.key)
        planned = await self._calls.plan(node.step, node.records, state, scope, context)
        execution.save_offset(opened.files, node)
        self._journal.post(event.ExecutionStarted(key=node.key, execution=opened.number), node)
        await self._journal.store_node(node)
        await self._follow_calls(opened, planned)

    async def _resume_calls(self, opened: OpenedNode) -> None:
        """Resume calls that another process started; if their ids were not stored, none of them has started."""
        node = opened.node
        planned = self._calls.resume(node.step, node.records, opened.number)
        if planned is None:
            await self._execute(node, opened.number, opened.files)
            return
        execution.truncate_output(opened.files)
        await self._follow_calls(opened, planned)

    async def _follow_calls(self, opened: OpenedNode, planned: PlannedCalls) -> None:
        step = opened.node.step
        running = self._start(opened.node, lambda: self._calls.start(step, planned, opened.files))
        await self._follow_to_end(opened, running)

    # -- signals ---------------------------------------------------------------------------------------------

    def signal(self, key: int, name: str) -> None:
        """Send a signal to an execution, or kill it; one that has not started yet fails instead."""
        running = self._active.get(key)
        if running is None:
            self._pending_signals[key] = name
        elif name == KILL:
            running.kill()
        else:
            running.signal(name)

    def pause_in_process(self) -> None:
        """Start no further executions that would die with this process."""
        self._in_process_paused = True

    async def wait_for_in_process(self) -> None:
        """Return when the executions that would die with this process have finished and posted their exits."""
        while self._in_process:
            await next(iter(self._in_process.values())).wait()

    # -- end -------------------------------------------------------------------------------------------------

    def detach(self) -> None:
        """Detach from all active executions, which continue on their own, and close the files."""
        for running in self._active.values():
            running.detach()
        self._nodes.close()

    async def release(self) -> None:
        """Remove the container and the spool files of the run, which is closed; their contents are stored."""
        if self._deps.plan.dag.container is not None:
            await self._resources.release()
        files, inputs = self._deps.files, self._run.inputs
        if self._deps.mails is not None:
            await self._deps.mails.wait_until_evaluated()
        if not inputs.keep_dir:
            await asyncio.to_thread(remove_tree, inputs.work_dir, self._environment.account)
        if self._run.token > 1 or self._run.attempt > 1:  # earlier attempts or owners have left files as well
            await asyncio.to_thread(files.remove_all)
            return
        self._nodes.remove_files(self._journal.state)
        if self._deps.log_file is not None:
            files.log.unlink(missing_ok=True)
