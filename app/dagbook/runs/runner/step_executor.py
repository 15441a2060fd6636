"""Executor of the engine's actions on steps: executions and signals."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from dagbook.db.errors import DatabaseUnavailable
from dagbook.engine import event
from dagbook.executors import in_process, registry, shell
from dagbook.executors.contract import Execution, ExecutionFiles, Job, Outcome, SetupError, Streams
from dagbook.executors.process import process
from dagbook.executors.process.accounts import files_as
from dagbook.runs.evaluation.environment import StepContext
from dagbook.runs.model import ClaimedRun, SpoolMatch
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.runner import execution, gates
from dagbook.runs.runner.execution import ConditionChecker
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.runner.node_registry import NodeRegistry
from dagbook.runs.runner.runner_deps import RunnerDeps, RunnerPort
from dagbook.runs.runner.shared_resources import SharedResources
from dagbook.runs.runner.sub_runs import SubRunCalls, SubRunExecutor
from dagbook.runs.store.recorder import FenceLostError
from dagbook.runs.store.row_mapping import NodeRecord
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.expansion.scope import StepScope
from dagbook.spec.model import HITL, CommandLine

_log = logging.getLogger(__name__)


class OutputFileError(Exception):
    """A log or redirect file of a step cannot be opened; the step fails without an execution."""


class StepExecutor:
    """Executes, adopts and signals the steps of one run in this process."""

    def __init__(
        self, run: ClaimedRun, runner: RunnerPort, deps: RunnerDeps, records: Mapping[int, NodeRecord]
    ) -> None:
        self._run = run
        self._runner = runner
        self._deps = deps
        self._plan = deps.plan
        self.nodes = NodeRegistry(run, runner, deps, records)
        self.checks = ConditionChecker(run, runner, deps, self.nodes)
        self._active: dict[int, Execution] = {}
        self._pending_signals: dict[int, str] = {}  # for executions that have no process yet
        self.resources = SharedResources(run, deps.plan.dag, deps.environment, deps.files, deps.ssh_policy)
        self._calls = SubRunCalls(run, deps.environment, deps.sub_runs)
        # Executions that would die with this process; each event is set once the exit has been posted to the runner.
        self._in_process: dict[int, asyncio.Event] = {}
        self._in_process_paused = False  # this process is about to end
        self._gates: dict[int, gates.Gate] = {}

    @property
    def active_count(self) -> int:
        """The number of executions that are waited for; those whose texts are evaluated are not among them."""
        return len(self._active)

    def assign_spool(self, key: int, number: int) -> None:
        """Set the spool path of an execution in the node's record."""
        node = self.nodes.get(key)
        node.records.spool = node.files(number).base

    # -- executions ------------------------------------------------------------------------------------------

    def may_prepare(self, key: int) -> bool:
        """Whether an execution may be prepared during the commit that starts it, without a visible effect."""
        step = self.nodes.get(key).step
        return step.executor.type in registry.COMMAND_TYPES and not (step.script or step.stdout or step.stderr)

    async def execute(self, key: int, number: int, committed: asyncio.Event | None = None) -> None:
        """Carry out an execution, from the evaluation of its texts to its end, and post the events.

        ``committed`` is set after the commit that starts it; nothing of the step runs before. None: already committed.
        """
        node = self.nodes.get(key)
        if key == event.WAIT:  # which sees other steps wait each time
            node.texts = node.env = None
        await self._reporting_failures(node, number, self._execute(node, number, node.files(number), committed))

    async def adopt(self, key: int, number: int) -> None:
        """Adopt an execution that another process started."""
        node = self.nodes.get(key)
        await self._reporting_failures(node, number, self._adopt(node, number))

    async def _reporting_failures(self, node: NodeExecution, number: int, work: Coroutine[Any, Any, None]) -> None:
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
            self._gates.pop(node.key, None)
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
        self._runner.post(exited, node)

    async def _execute(
        self, node: NodeExecution, number: int, files: ExecutionFiles, committed: asyncio.Event | None = None
    ) -> None:
        step = node.step
        environment = self._deps.environment
        # The working directory of command substitutions.
        shell.make_directory(Path(environment.work_dir), environment.account)
        await self._open(node)
        await self._plan_retry(node, committed)
        context = self.nodes.context_for(node.key)
        scope = await self._evaluate(node, context, committed)
        texts = _texts_of(node)
        node.records.shown = texts.shown if step.command else None
        if step.executor.type in registry.CALL_TYPES:
            await self._call(node, number, files, scope, context)
            return
        if step.executor.type == HITL:
            config = await environment.evaluate_config(step.executor.config, scope, context)
            await self._ask(node, number, files, gates.read_request(config))
            return
        if step.executor.type in registry.COMMAND_TYPES:
            running = await self._start_command(node, files, self._working_context(node, scope), committed)
        else:
            job = await self._job(node, number, scope, context)
            if self._in_process_paused and self._runs_in_process(node):
                # It would die with this process and is left to the next server.
                await asyncio.Event().wait()  # until the run is detached and this task cancelled
            running = self._start(node, lambda: execution.start_job(node, job, files))
            if isinstance(running, in_process.InProcessExecution) and not running.outlives:
                self._in_process[node.key] = asyncio.Event()
        self._runner.post(event.ExecutionStarted(key=node.key, execution=number), node)
        await self._finish(node, number, files, running)

    async def _evaluate(self, node: NodeExecution, context: StepContext, committed: asyncio.Event | None) -> StepScope:
        """Evaluate the node's texts, once for all its executions."""
        step, environment = node.step, self._deps.environment
        env = await self.nodes.evaluate_env(node, context, committed)
        scope = environment.scope(step.name, context, cwd=environment.directory_of(step), step_env=env)
        if node.texts is None or step.script:
            node.texts = await environment.evaluate_texts(step, scope, context, committed)
        return scope

    def _working_context(self, node: NodeExecution, scope: StepScope) -> process.WorkingContext:
        environment = self._deps.environment
        directory = Path(environment.directory_of(node.step))
        return process.WorkingContext(directory, scope.process_environment(), environment.account)

    async def _start_command(
        self,
        node: NodeExecution,
        files: ExecutionFiles,
        working: process.WorkingContext,
        committed: asyncio.Event | None,
    ) -> Execution:
        texts = _texts_of(node)
        try:
            gated = execution.prepare(node, texts, files, working)
        except (OSError, SetupError):
            if committed is None or committed.is_set():
                raise
            await committed.wait()  # the commit may be delayed by the same cause, such as a full disk: try after it
            gated = execution.prepare(node, texts, files, working)
        try:
            if committed is not None:
                await committed.wait()
            return self._start(node, gated.release)
        except BaseException:
            gated.discard()
            raise

    async def _job(self, node: NodeExecution, number: int, scope: StepScope, context: StepContext) -> Job:
        step, environment = node.step, self._deps.environment
        texts, working, container = _texts_of(node), self._working_context(node, scope), step.container
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
            config=await environment.evaluate_config(step.executor.config, scope, context),
            container=await environment.evaluate_container(container, scope, context, node.env or ())
            if container
            else None,
            cwd=working.cwd,
            run_dir=Path(environment.work_dir),
            env=working.env,
            account=working.account,
            shared=await self.resources.resolve(),
            egress=environment.egress,
        )

    def _job_id(self, node: NodeExecution, number: int) -> str:
        return f"{self._run.key}-{self._run.attempt}-{node.key}-{number}"

    def _start(self, node: NodeExecution, start: Callable[[], Execution]) -> Execution:
        if self._pending_signals.pop(node.key, ""):
            raise SetupError("stopped before it started")
        running = start()
        self._active[node.key] = running
        return running

    async def _finish(self, node: NodeExecution, number: int, files: ExecutionFiles, running: Execution) -> None:
        await self._collect_output(node, number, files, await self._follow(node, number, running))

    async def _follow(self, node: NodeExecution, number: int, running: Execution) -> execution.ExecutionResult:
        assert node.follower is not None  # noqa: S101 - opened before any execution starts
        return await execution.follow(
            running, node.follower, lambda chunks: self._runner.store_log(node, chunks, number)
        )

    async def _collect_output(
        self, node: NodeExecution, number: int, files: ExecutionFiles, ended: execution.ExecutionResult
    ) -> None:
        if node.step.script:
            shell.remove_script(files, self._deps.environment.account)
        exited = await execution.exit_event(node, number, ended.outcome, files, self._plan.dag)
        self._runner.post(exited, node, ended.tail)

    async def _adopt(self, node: NodeExecution, number: int) -> None:
        spool = node.records.spool  # in the spool of this server
        stored = None if spool is None else process.execution_files(node.stdout.parent, spool)
        files = stored or node.files(number)
        await self._open(node)
        if node.step.executor.type in registry.CALL_TYPES:
            if stored is None:
                execution.save_offset(files, node)
            await self._resume_calls(node, number, files)
            return
        if node.step.executor.type == HITL:
            # Without a record nothing was asked yet.
            await (self._await_decision(node, number) if node.records.approval else self._execute(node, number, files))
            return
        if stored is None:
            found: Execution | Outcome | None = process.lost_outcome(self._run.origin.processes_gone)
        else:
            found = await self._find_process(node, number, stored)
        if found is None:
            await self._restart(node, number)
        elif isinstance(found, Outcome):
            assert node.follower is not None  # noqa: S101 - opened above
            tail = await execution.drain(node.follower, lambda chunks: self._runner.store_log(node, chunks, number))
            await self._collect_output(node, number, files, execution.ExecutionResult(found, tail))
        else:
            self._adopt_process(node, number, found)
            await self._finish_adopted(node, number, files, found)

    async def _find_process(
        self, node: NodeExecution, number: int, files: ExecutionFiles
    ) -> Execution | Outcome | None:
        """Inspect the spool files of an execution (house design section 7, recovery).

        Returns its outcome, the execution that is still active, or None if it never started and never will.
        Raises SetupError.
        """
        origin = self._run.origin
        if origin.processes_gone:
            return execution.read_outcome(files, origin.processes_gone)
        # That files are missing proves only in the spool and PID namespace of the execution that it never started.
        conclusive = origin.spool is SpoolMatch.OWN and not origin.other_namespace
        if not process.has_started(files) and not (conclusive and self.nodes.state(node.key).executed_at is None):
            return process.lost_outcome()
        if self._runs_in_process(node):
            return self._find_in_process(node, number, files)
        if origin.other_namespace:
            return process.OtherNamespaceProcess(files, self._deps.environment.account)
        return await execution.adopt(files, self._deps.environment.account)

    # -- approvals -------------------------------------------------------------------------------------------

    async def _ask(
        self, node: NodeExecution, number: int, files: ExecutionFiles, request: gates.ApprovalRequest
    ) -> None:
        assert node.follower is not None  # noqa: S101 - opened before any execution starts
        now = self._deps.now()
        if not node.follower.pending():  # else a server that died has written it
            streams = Streams(files)
            streams.out(request.notice())
            streams.close()
        asked = msgspec.to_builtins(request)
        node.records.approval = {"since": now.isoformat(), **asked}
        await self._runner.ask(node, now, asked)
        await self._await_decision(node, number)

    async def _await_decision(self, node: NodeExecution, number: int) -> None:
        gate = gates.Gate()
        self._gates[node.key] = gate
        self._start(node, lambda: gate)
        assert node.follower is not None  # noqa: S101 - opened before any execution starts
        # At once: the event alone would be stored with the next one, which may be days away.
        if tail := await execution.drain(node.follower, lambda chunks: self._runner.store_log(node, chunks, number)):
            await self._runner.store_log(node, tail, number)
        self._runner.post(event.ExecutionStarted(key=node.key, execution=number), node)
        decision = await gate.decision()
        if decision is not None:
            node.records.approval = gates.decided(node.records.approval or {}, decision)
            if node.step.output and decision.approved:
                node.records.output_name = node.step.output
                node.records.output_value = json.dumps(dict(decision.inputs), ensure_ascii=False)
        self._runner.post(gates.exit_of(node.key, number, decision), node)

    def decide(self, key: int, decision: gates.Decision) -> None:
        """End the wait of a step for its approval, if it waits here."""
        if gate := self._gates.get(key):
            gate.decide(decision)

    # -- calls -----------------------------------------------------------------------------------------------

    async def _call(
        self, node: NodeExecution, number: int, files: ExecutionFiles, scope: StepScope, context: StepContext
    ) -> None:
        """Call other DAGs; the ids of their runs are stored before the first of them starts."""
        sub_runs = await self._calls.plan(node, self.nodes.state(node.key), scope, context)
        execution.save_offset(files, node)
        self._runner.post(event.ExecutionStarted(key=node.key, execution=number), node)
        await self._runner.store_node(node)
        await self._follow_calls(node, number, files, sub_runs)

    async def _resume_calls(self, node: NodeExecution, number: int, files: ExecutionFiles) -> None:
        """Resume calls that another process started; if their ids were not stored, none of them has started."""
        sub_runs = self._calls.resume(node, number)
        if sub_runs is None:
            await self._execute(node, number, files)
            return
        execution.truncate_output(files)
        await self._open(node)
        await self._follow_calls(node, number, files, sub_runs)

    async def _follow_calls(
        self, node: NodeExecution, number: int, files: ExecutionFiles, sub_runs: SubRunExecutor
    ) -> None:
        running = self._start(node, lambda: self._calls.start(node, sub_runs, files))
        await self._finish(node, number, files, running)

    @staticmethod
    def _runs_in_process(node: NodeExecution) -> bool:
        kind = node.step.executor.type
        return kind not in registry.COMMAND_TYPES and registry.find(kind).in_process

    async def _finish_adopted(self, node: NodeExecution, number: int, files: ExecutionFiles, found: Execution) -> None:
        ended = await self._follow(node, number, found)
        if ended.outcome is not process.NEVER_RAN:
            await self._collect_output(node, number, files, ended)
            return
        if ended.tail:  # output of an earlier execution
            await self._runner.store_log(node, ended.tail, number)
        await self._restart(node, number)

    async def _restart(self, node: NodeExecution, number: int) -> None:
        # Other file names: this server has claimed the first ones to stop a late shim, and nothing has run with them.
        files = node.files(number, again=self._run.token)
        node.records.spool = files.base
        await self._runner.store_node(node)
        await self._execute(node, number, files)

    def _find_in_process(self, node: NodeExecution, number: int, files: ExecutionFiles) -> Execution | Outcome | None:
        kind = registry.find(node.step.executor.type)
        found = in_process.find_outcome(files, adopts=kind.adopts)
        if found is not None or not files.note.exists():
            return found
        job = Job(type=node.step.executor.type, id=self._job_id(node, number), cwd=Path("/"))
        return in_process.adopt(kind.adopt(), job, files)

    def _adopt_process(self, node: NodeExecution, number: int, found: Execution) -> None:
        self._active[node.key] = found
        if name := self._pending_signals.pop(node.key, ""):
            self.signal(node.key, name)
        if self.nodes.state(node.key).executed_at is None:
            self._runner.post(event.ExecutionStarted(key=node.key, execution=number), node)

    async def _open(self, node: NodeExecution) -> None:
        if node.follower is not None:
            return  # executions after the first write to the same files
        step, environment = node.step, self._deps.environment
        try:
            redirects = {
                STDOUT: await environment.evaluate_redirect(step.stdout),
                STDERR: await environment.evaluate_redirect(step.stderr),
            }
            node.open(redirects, self._deps.log_limit, environment.account)
        except (OSError, ExpansionError, SetupError) as error:
            raise OutputFileError(f"an output file could not be opened: {error}") from error

    async def _plan_retry(self, node: NodeExecution, committed: asyncio.Event | None) -> None:
        retry = node.step.retry
        if retry is None or (isinstance(retry.limit, int) and isinstance(retry.interval_seconds, int)):
            return  # nothing to evaluate
        evaluate = self._deps.environment.evaluate_number
        try:
            limit = await evaluate(retry.limit, "retryPolicy.limit", committed)
            interval = await evaluate(retry.interval_seconds, "retryPolicy.intervalSec", committed)
        except SetupError as error:
            raise OutputFileError(str(error)) from error
        self._runner.post(event.RetryPlanned(key=node.key, limit=limit, interval_seconds=interval))

    # -- signals ---------------------------------------------------------------------------------------------

    def signal(self, key: int, name: str) -> None:
        """Send a signal to an execution; one that has not started yet fails instead."""
        running = self._active.get(key)
        if running is None:
            self._pending_signals[key] = name
        elif name == "SIGKILL":
            running.kill()
        else:
            running.signal(name)

    def kill(self, key: int) -> None:
        """Kill an execution; one that has not started yet fails instead."""
        self.signal(key, "SIGKILL")

    def pause_in_process(self) -> None:
        """Start no further executions that would die with this process."""
        self._in_process_paused = True

    async def wait_for_in_process(self) -> None:
        """Return when the executions that would die with this process have finished and posted their exits."""
        while self._in_process:
            await next(iter(self._in_process.values())).wait()

    def detach(self) -> None:
        """Detach from all active executions, which continue on their own, and close the files."""
        for running in self._active.values():
            running.detach()
        self.nodes.close()

    def remove_files(self) -> None:
        """Remove the spool files of the run; their contents are stored."""
        files, inputs = self._deps.files, self._run.inputs
        if not inputs.keep_dir:
            with suppress(SetupError), files_as(self._deps.environment.account):
                shutil.rmtree(inputs.work_dir, ignore_errors=True)
        if self._run.token > 1 or self._run.attempt > 1:  # earlier attempts or owners have left files as well
            files.remove_all()
            return
        self.nodes.remove_files()
        if self._deps.log_file is not None:
            files.log.unlink(missing_ok=True)


def _texts_of(node: NodeExecution) -> shell.ShellTexts:
    return node.texts or shell.ShellTexts()
