"""Preparation of runs for their runners: evaluation of pending inputs, secrets, and the runner's dependencies."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dagbook.db.database import Database
from dagbook.engine.plan import Plan
from dagbook.errors import BadRequestError
from dagbook.runs.evaluation.environment import RunEnvironment
from dagbook.runs.evaluation.inputs import finish_inputs
from dagbook.runs.evaluation.secret_values import resolve_secrets
from dagbook.runs.model import ClaimedRun, RunLocation, SpoolMatch
from dagbook.runs.notifications.mailer import RunMailer
from dagbook.runs.output.output_follower import RestoredLogs
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.runner.runner_deps import RunnerDeps
from dagbook.runs.runner.sub_runs import SubRunService
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store.run_loading import RunLogFile, uses_run_log


class RunPreparation:
    """Prepares the runs of this process."""

    def __init__(
        self, database: Database, context: ServerContext, mailer: RunMailer, sub_run_service: SubRunService
    ) -> None:
        self._database = database
        self._context = context
        self._mailer = mailer
        self._sub_run_service = sub_run_service

    async def evaluate(self, run: ClaimedRun) -> tuple[ClaimedRun, str]:
        """Evaluate the pending inputs of a stored run; returns the run and a problem that fails it, or ""."""
        try:
            inputs = await finish_inputs(run.definition.dag, run.inputs, self._location(run))
        except BadRequestError as error:
            return run, error.message
        return await resolve_secrets(msgspec.structs.replace(run, inputs=inputs), self._context.machine)

    def _location(self, run: ClaimedRun) -> RunLocation:
        """Return the location of a run whose inputs have the directory that it has without a ``workingDir``."""
        inputs = run.inputs
        location = RunLocation.of(
            self._context,
            source_directory=inputs.source_directory,
            run_as=inputs.run_as,
            environ=inputs.base_environment,
            crosses_accounts=run.lineage is not None and inputs.base_environment is None,
        )
        if inputs.keep_dir:
            return msgspec.structs.replace(location, default_directory=inputs.work_dir)
        return msgspec.structs.replace(location, private_directory=Path(inputs.work_dir))

    def deps(self, run: ClaimedRun) -> RunnerDeps:
        """Return the dependencies of the runner of a run."""
        context, dag = self._context, run.definition.dag
        files = RunSpool(context.spool, run.key, run.attempt)
        plan = Plan.of(dag)
        machine = context.machine.for_run(run.inputs.base_environment, run.inputs.run_as)
        environment = RunEnvironment(run, dag, machine, str(files.log))
        return RunnerDeps(
            plan=plan,
            environment=environment,
            files=files,
            log_limit=context.log_limit,
            log_file=RunLogFile(files.log, run, dag, context.zone) if uses_run_log(dag) else None,
            notify=self._mailer.for_run(run, plan, environment, run.masker.mask),
            restored_logs=RestoredLogs(
                self._database, files, plan, environment.encoding, lost=run.origin.spool is not SpoolMatch.OWN
            ),
            now=context.now,
            sub_runs=self._sub_run_service,
            encrypter=context.encrypter,
            ssh_policy=context.ssh_policy,
        )
