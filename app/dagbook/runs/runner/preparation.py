"""Preparation of runs for their runners: evaluation of pending inputs, secrets, and what a runner works with."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dagbook.db.database import Database
from dagbook.engine.plan import Plan
from dagbook.errors import BadRequestError
from dagbook.runs.evaluation import last_success
from dagbook.runs.evaluation.environment import RunEnvironment, make_environment, uses_run_log
from dagbook.runs.evaluation.inputs import complete_inputs
from dagbook.runs.evaluation.secret_values import AskedProviders, resolve_secrets
from dagbook.runs.model import ClaimedRun, RunLocation, SpoolMatch
from dagbook.runs.notifications.mailer import RunMailer, RunMails
from dagbook.runs.output.restored_logs import RestoredLogs
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.runner.calls import CalledDags, StartSubRuns
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store.run_loading import RunLogFile
from dagbook.spec.reading.definition_cache import DefinitionCache


class RunnerDeps(msgspec.Struct, frozen=True, kw_only=True):
    """What the runner of one attempt works with."""

    run: ClaimedRun
    context: ServerContext
    plan: Plan
    environment: RunEnvironment
    files: RunSpool
    log_file: RunLogFile | None  # None unless the definition refers to the log file
    mails: RunMails | None  # None unless the definition asks for mails
    restored_logs: RestoredLogs | None  # None if no earlier attempt or other spool has output of its steps
    called_dags: CalledDags
    start_sub_runs: StartSubRuns


class RunPreparation:
    """Prepares the runs of this process."""

    def __init__(
        self,
        database: Database,
        context: ServerContext,
        mailer: RunMailer,
        called_dags: CalledDags,
        start_sub_runs: StartSubRuns,
        library: DefinitionCache,
    ) -> None:
        self._database = database
        self._library = library
        self._context = context
        self._mailer = mailer
        self._called_dags = called_dags
        self._start_sub_runs = start_sub_runs
        self._providers = AskedProviders(database, context.machine)

    async def evaluate(self, run: ClaimedRun) -> tuple[ClaimedRun, str]:
        """Evaluate what is pending of a stored run, secrets too; returns the run and a problem that fails it, or ""."""
        inputs = run.inputs
        # The inputs have the directory that the run has without a ``workingDir``.
        location = RunLocation.of(
            self._context,
            source_directory=inputs.source_directory,
            run_as=inputs.run_as,
            environ=inputs.base_environment,
            crosses_accounts=run.lineage is not None and inputs.base_environment is None,
        ).with_variables(inputs.variables)
        if inputs.keep_dir:
            location = msgspec.structs.replace(location, default_directory=inputs.work_dir)
        else:
            location = msgspec.structs.replace(location, private_directory=Path(inputs.work_dir))
        if run.definition.dag.names_last_success:
            last = await self._database.read(last_success.read, self._library, run.dag_name)
            location = msgspec.structs.replace(location, last_success=last)
        try:
            inputs = await complete_inputs(run.definition.dag, inputs, location)
        except BadRequestError as error:
            return run, error.message
        return await resolve_secrets(
            msgspec.structs.replace(run, inputs=inputs), self._context.machine, self._providers
        )

    def deps(self, run: ClaimedRun) -> RunnerDeps:
        """Return what the runner of a run works with."""
        context, dag = self._context, run.definition.dag
        files = RunSpool(context.spool, run.key, run.attempt)
        plan = Plan.of(dag)
        environment = make_environment(run, dag, context)
        is_lost = run.origin.spool is not SpoolMatch.OWN
        has_older_output = is_lost or run.attempt > 1
        return RunnerDeps(
            run=run,
            context=context,
            plan=plan,
            environment=environment,
            files=files,
            log_file=RunLogFile(files.log, run, dag, context.zone) if uses_run_log(dag) else None,
            mails=None if dag.smtp is None else self._mailer.for_run(run, plan, environment, run.masker.mask),
            restored_logs=RestoredLogs(self._database, files, plan, environment.encoding, lost=is_lost)
            if has_older_output
            else None,
            called_dags=self._called_dags,
            start_sub_runs=self._start_sub_runs,
        )
