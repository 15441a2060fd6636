"""Environment of the steps of a run: variables, directories, shell, and evaluation of texts (DAG format 5)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec

from dagbook.executors.contract import SetupError, SharedConfig
from dagbook.executors.registry import COMMAND_TYPES
from dagbook.executors.shell import DIRECT, ShellTexts, shebang
from dagbook.executors.sql.statements import REFERENCE
from dagbook.json_values import Json, JsonObject
from dagbook.runs import trace_context
from dagbook.runs.evaluate import ShellContext, evaluate
from dagbook.runs.evaluation import last_success
from dagbook.runs.evaluation.conditions import ConditionContext, Expand
from dagbook.runs.evaluation.sub_run_plan import Evaluate
from dagbook.runs.model import ClaimedRun
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.server_context import HostEnvironment, ServerContext
from dagbook.runs.trace_context import TRACEPARENT, TraceContext
from dagbook.spec import paths
from dagbook.spec.expansion import expand, shell_words
from dagbook.spec.expansion.expand import ExpansionError, Mode, StepFacts, Variables
from dagbook.spec.expansion.requests import Evaluation
from dagbook.spec.expansion.scope import StepScope, filter_environment
from dagbook.spec.expansion.shell_expansion import expand_plain
from dagbook.spec.expansion.shell_quotes import program_name, reads_posix
from dagbook.spec.model import SQL_TYPES, Container, Dag, Mail, Otel, Pair, Smtp, Ssh, Step
from dagbook.spec.params import names, param_text

EvaluatedConfig = TypeVar("EvaluatedConfig", Smtp, Ssh, Mail)
_PARAMS_JSON, _LOG_FILE = "DAGU_PARAMS_JSON", "DAG_RUN_LOG_FILE"
# Programs that read scripts in which $NAME is no variable of the environment, as it is in every shell.
_INTERPRETER = re.compile(r"(?:python|pypy|node|deno|bun|ruby|perl|php|lua|julia|rscript|tclsh|pwsh|powershell)[0-9.]*")
_CONTAINER_TEXTS = ("exec", "image", "name", "user", "working_dir", "platform", "network")
_CONTAINER_LISTS = ("volumes", "ports", "command")


class StepContext(msgspec.Struct, frozen=True, kw_only=True):
    """Outputs and step facts of a run that a text sees when it is evaluated."""

    outputs: Mapping[str, str] = {}
    steps: Mapping[str, StepFacts] = {}
    handler_status: str = ""  # the run's status, for handlers only
    waiting_steps: str = ""  # names of the steps that wait for an approval, for the wait handler
    log_files: Mapping[str, str] = {}


class RunEnvironment:
    """Variables of one run, isolated from other runs and from the process environment."""

    def __init__(self, run: ClaimedRun, dag: Dag, machine: HostEnvironment, log_file: str) -> None:
        self._dag = dag
        self._environ = machine.environ
        self._home = machine.home
        self._substitute = machine.substitute
        self.encoding = machine.encoding
        self.egress = machine.egress
        self.own_files = machine.secret_sources.own_files
        self.account = machine.account
        self._params = _as_dict(run.inputs.params)
        self._undeclared = machine.undeclared_params
        of_caller = run.inputs.base_environment or {}
        self._param_variables = names.variables(run.inputs.params, dag, self._undeclared, of_caller)
        self._env = _as_dict(run.inputs.env)
        self._dotenv = _as_dict(run.inputs.dotenv)
        self._secrets = _as_dict(run.inputs.secrets)
        self._run_vars = _as_dict(run.inputs.variables)
        self._key, self._attempt = run.key, run.attempt
        self._trace = trace_context.find(run.inputs.variables)
        if self._trace is not None:
            own = trace_context.span_of_run(run.key, run.attempt)
            self._run_vars[TRACEPARENT] = str(TraceContext(self._trace.trace, own))
        self._run_vars |= {"DAG_NAME": run.dag_name, "DAG_RUN_ID": run.run_id, _LOG_FILE: log_file}
        params_json = run.inputs.params_json or (param_text.map_text(run.inputs.params) if run.inputs.params else "")
        is_short = len(params_json.encode(errors="surrogateescape")) <= last_success.LONGEST_VARIABLE
        self._params_json = {_PARAMS_JSON: params_json} if params_json and is_short else {}  # 1.30, 9
        self._run_vars |= self._params_json
        self.work_dir = run.inputs.work_dir
        # Texts see the server's environment without its settings, commands in them only what steps get of it.
        self._process = {**machine.environ, **self._params_json, **self._env, **self._dotenv}
        self._env = last_success.for_process(self._env)
        self._commands = {**filter_environment(machine.environ), **self._params_json, **self._env, **self._dotenv}
        self._default_shell = machine.default_shell
        shell = [expand_plain(word, self._process) for word in dag.shell]
        self.shell = tuple(word for word in shell if word) or machine.default_shell

    def inherited_env(self, step: Step) -> dict[str, str]:
        """Return the environment of a step's sub-runs, in place of the server's (runtime 20.5)."""
        inherited = {**filter_environment(self._environ), **self._env, **self._dotenv, **self._param_variables}
        return {**inherited, **self._run_vars, **self._secrets, **names.of_author(step, self._undeclared)}

    @cached_property
    def shell_context(self) -> ShellContext:
        """Shell context of the conditions and backticks of this run."""
        return ShellContext(
            shell=self._default_shell,
            env=self._commands,
            cwd=Path(self.work_dir),
            encoding=self.encoding,
            account=self.account,
            substitute=self._substitute,
        )

    def _shell_context(self, committed: asyncio.Event | None) -> ShellContext:
        shell_context = self.shell_context
        return shell_context if committed is None else msgspec.structs.replace(shell_context, committed=committed)

    def scope(self, name: str, context: StepContext, *, cwd: str, step_env: Iterable[Pair] = ()) -> StepScope:
        """Return the variables of a step in their order of precedence."""
        step_vars = {"DAG_RUN_STEP_NAME": name, "PWD": cwd} if name else {}
        if context.handler_status:
            step_vars["DAG_RUN_STATUS"] = context.handler_status
        if context.waiting_steps:
            step_vars["DAG_WAITING_STEPS"] = context.waiting_steps
        own = _as_dict(step_env)
        trace = self.trace_of(name, is_handler=bool(context.handler_status)) if name else None
        if trace is not None and TRACEPARENT not in own:
            step_vars[TRACEPARENT] = str(trace)
        return StepScope(
            run_vars=step_vars,
            step_env=own,
            params=self._params,
            param_variables=self._param_variables,
            outputs=context.outputs,
            log_files=context.log_files,
            secrets=self._secrets,
            dotenv=self._dotenv,
            dag_env=self._env,
            run=self._run_vars,
            os_environ=self._environ,
        )

    def trace_of(self, step: str, *, is_handler: bool = False) -> TraceContext | None:
        """Return the context of a step or handler in the trace of the run; None if that is not traced."""
        if self._trace is None:
            return None
        span = trace_context.span_of_node(self._key, self._attempt, step, is_handler=is_handler)
        return TraceContext(self._trace.trace, span)

    def expander(self, scope: StepScope, context: StepContext) -> Expand:
        """Return a function that expands a text in a scope."""

        def expand_text(text: str, mode: Mode, *, for_shell: bool = False) -> Evaluation[str]:
            variables = self._variables(scope, context, mode)
            return expand.expand(text, mode=mode, variables=variables, home=self._home, for_shell=for_shell)

        return expand_text

    def _variables(self, scope: StepScope, context: StepContext, mode: Mode = Mode.FULL) -> Variables:
        return Variables(scope.maps(mode), context.steps, self._process)

    def evaluator(self, scope: StepScope, context: StepContext) -> Evaluate:
        """Return a function that evaluates the texts of a call, with extra variables; it raises ExpansionError."""

        async def evaluate_texts(texts: Sequence[str], extra: Mapping[str, str]) -> list[str]:
            variables = self._variables(msgspec.structs.replace(scope, extra=extra), context)
            evaluation = expand.expand_all(texts, variables=variables, home=self._home)
            return await evaluate(evaluation, self.shell_context)

        return evaluate_texts

    def dag_expander(self) -> Expand:
        """Return a function that expands texts of the DAG itself."""
        context = StepContext()
        return self.expander(self.scope("", context, cwd=self.work_dir), context)

    def directory_of(self, step: Step) -> str:
        """Return the working directory of a step (DAG format 3.5)."""
        if not step.working_dir:
            return self.work_dir
        seen = {**self._environ, **self._params, **self._dotenv, **self._env}
        return paths.resolve(expand_plain(step.working_dir, seen), base=self.work_dir, home=self._home)

    async def evaluate_redirect(self, text: str) -> Path | None:
        """Evaluate the path that a stream is copied to, None without one; raises ExpansionError."""
        if not text:
            return None
        value = await evaluate(self.dag_expander()(text, Mode.FULL), self.shell_context)
        return Path(paths.resolve(value, base=self.work_dir, home=self._home))

    async def evaluate_step_env(
        self, step: Step, context: StepContext, cwd: str, committed: asyncio.Event | None = None
    ) -> tuple[Pair, ...]:
        """Evaluate the variables of a step; entries do not see each other, and a failing one is left out.

        Commands in them wait for ``committed``, as do those in a retry policy, command, script and shell.
        """
        if not step.env:
            return ()
        scope = self.scope(step.name, context, cwd=cwd)
        evaluation = expand.evaluate_step_env(step.env, variables=self._variables(scope, context), home=self._home)
        return await evaluate(evaluation, self._shell_context(committed))

    def condition_context_of_dag(self) -> ConditionContext:
        """Return the context for the preconditions of the DAG itself."""
        return ConditionContext(self.dag_expander(), self.shell, self.shell_context)

    async def condition_context_of_step(
        self, step: Step, context: StepContext, env: Iterable[Pair]
    ) -> ConditionContext:
        """Return the context for the conditions of a step, which see its variables ``env`` as well (runtime 7).

        Raises ExpansionError if its shell cannot be evaluated.
        """
        scope = self.scope(step.name, context, cwd=self.directory_of(step), step_env=env)
        expander = self.expander(scope, context)
        return ConditionContext(
            expander, await self._evaluate_shell(step, expander, self.shell_context) or self.shell, self.shell_context
        )

    async def _evaluate_shell(self, step: Step, expander: Expand, shell_context: ShellContext) -> tuple[str, ...]:
        """Evaluate the shell of a step; empty if the step sets none."""
        return tuple([await evaluate(expander(word, Mode.FULL), shell_context) for word in step.shell])

    async def evaluate_number(self, text: int | str, field: str, committed: asyncio.Event | None = None) -> int:
        """Evaluate a number of a retry policy, which sees only the DAG's env and the environment; raises SetupError."""
        if isinstance(text, int):
            return text
        variables = Variables(environ=self._process)
        evaluation = expand.expand(text, mode=Mode.FULL, variables=variables, home=self._home)
        try:
            value = (await evaluate(evaluation, self._shell_context(committed))).strip()
        except ExpansionError as error:
            raise SetupError(f"{field}: {text!r} cannot be evaluated: {error}") from error
        try:
            return int(value)
        except ValueError as error:
            sources = "; it sees env of the DAG, but no params or outputs" if value != text.strip() else ""
            raise SetupError(f"{field}: {text!r} gives {value!r}, which is not a whole number{sources}") from error

    async def evaluate_texts(
        self, step: Step, scope: StepScope, context: StepContext, committed: asyncio.Event | None = None
    ) -> ShellTexts:
        """Evaluate the command or command lines, the script and the shell of a step; raises ExpansionError."""
        shell_context = self._shell_context(committed)
        if step.executor.type in SQL_TYPES:
            return await self._find_values(step, scope, context, shell_context)
        own = await self._evaluate_shell(step, self.expander(scope, context), shell_context)
        lines = [
            msgspec.structs.replace(step, lines=(), command_line=each.line, command=each.command, args=each.args)
            for each in step.lines
        ]
        first, *rest = [
            await self._evaluate_command(each, own, scope, context, shell_context) for each in lines or [step]
        ]
        return msgspec.structs.replace(first, following=tuple(rest)) if rest else first

    async def _find_values(
        self, step: Step, scope: StepScope, context: StepContext, shell_context: ShellContext
    ) -> ShellTexts:
        """Evaluate the references in statements, each alone: they stay in the text, and their values are bound."""
        line = "\n;\n".join(each.line for each in step.lines) or step.command_line
        variables = Variables((scope.config_variables(),), context.steps)
        values = {}
        for reference in dict.fromkeys(REFERENCE.findall(line or step.script)):
            value = await evaluate(expand.expand(reference, mode=Mode.VARS, variables=variables), shell_context)
            if value != reference:
                values[reference] = value
        return ShellTexts(line=line, program=step.command, args=step.args, script=step.script, values=values)

    async def _evaluate_command(
        self, step: Step, own: tuple[str, ...], scope: StepScope, context: StepContext, shell_context: ShellContext
    ) -> ShellTexts:
        expander = self.expander(scope, context)
        shell = own or self.shell
        direct = not shell or shell[0] == DIRECT or step.executor.type not in COMMAND_TYPES
        if step.executor.type == "jq":  # a jq program has many dollar signs that are no references
            script = await evaluate(expander(step.script, Mode.FULL), shell_context)
            return ShellTexts(line=step.command_line, program=step.command, args=step.args, script=script)
        mode = Mode.FULL if direct else Mode.COMMAND
        in_shell = not direct and reads_posix(shell) and not step.script
        items = (step.command, *step.args) if step.command else ()
        if in_shell and step.command_list:
            variables = self._variables(scope, context, mode)
            both = [await evaluate(expand.expand_item(item, variables), shell_context) for item in items]
            items, line = tuple(item for item, _ in both), " ".join(word for _, word in both)
        else:
            items = tuple([await evaluate(expander(item, mode), shell_context) for item in items])
            line = shell_words.join_list(items) if step.command_list else ""
        if not step.command_list:
            line = await evaluate(expander(step.command_line, mode, for_shell=in_shell), shell_context)
        interpreter = own or shebang(step.script) or shell
        reads_no_variables = any(_INTERPRETER.fullmatch(program_name(word)) for word in interpreter[:2])  # env python3
        if reads_no_variables and not direct and _PARAMS_JSON not in scope.step_env:
            expander = self.expander(msgspec.structs.replace(scope, extra=self._params_json), context)
        script = await evaluate(
            expander(step.script, Mode.FULL)
            if direct
            else expander(step.script, Mode.VARS, for_shell=not step.command and reads_posix(interpreter)),
            shell_context,
        )
        return ShellTexts(
            line=line,
            program=items[0] if items else "",
            args=items[1:],
            script=script,
            shell=shell,
            own_shell=bool(own),
            packages=step.shell_packages,
        )

    async def evaluate_config(self, config: JsonObject, scope: StepScope, context: StepContext) -> dict[str, Json]:
        """Evaluate every text of an executor's config, at any depth (DAG format 5.7); raises ExpansionError."""
        variables = Variables((scope.config_variables(),), context.steps, self._process)

        async def evaluated(value: Json) -> Json:
            match value:
                case str():
                    evaluation = expand.expand(value, mode=Mode.FULL, variables=variables, home=self._home)
                    return await evaluate(evaluation, self.shell_context)
                case dict():
                    return {key: await evaluated(below) for key, below in value.items()}
                case list() | tuple():
                    return [await evaluated(below) for below in value]
                case _:
                    return value

        return {key: await evaluated(value) for key, value in config.items()}

    async def evaluate_container(
        self, container: Container, scope: StepScope, context: StepContext, step_env: Iterable[Pair] = ()
    ) -> Container:
        """Evaluate the texts and variables of a container (DAG format 1.30, 3.3); raises ExpansionError.

        Its variables override those of the step, ``step_env``. Fields with a fixed choice of words are not evaluated,
        and neither is ``logPattern``, an expression in which a dollar sign and a backslash have meanings of their own.
        """
        expander, shell_context = self.expander(scope, context), self.shell_context
        changed: dict[str, str | tuple[str, ...]] = {}
        for name in _CONTAINER_TEXTS:
            changed[name] = (await evaluate(expander(getattr(container, name), Mode.FULL), shell_context)).strip()
        for name in _CONTAINER_LISTS:
            texts: tuple[str, ...] = getattr(container, name)
            changed[name] = tuple([await evaluate(expander(text, Mode.FULL), shell_context) for text in texts])
        evaluation = expand.evaluate_env(container.env, variables=self._variables(scope, context), home=self._home)
        env = {**_as_dict(step_env), **_as_dict(await evaluate(evaluation, shell_context))}
        return msgspec.structs.replace(container, **changed, env=tuple(Pair(*pair) for pair in env.items()))

    async def evaluate_shared(self) -> SharedConfig:
        """Evaluate the shared container, SSH, SMTP and registry settings (DAG format 5.10); raises ExpansionError."""
        dag, context = self._dag, StepContext()
        scope = self.scope("", context, cwd=self.work_dir)
        return SharedConfig(
            docker=self.docker,
            work_dir=self.work_dir,
            home=self._home,
            smtp=await self.evaluate_struct(dag.smtp) if dag.smtp else None,
            ssh=await self.evaluate_struct(dag.ssh) if dag.ssh else None,
            container=await self.evaluate_container(dag.container, scope, context) if dag.container else None,
            registry_auths={host: self._evaluate_auth(auth) for host, auth in dag.registry_auths.items()},
        )

    @property
    def docker(self) -> dict[str, str]:
        """The variables for the Docker client: address of the daemon and registry logins."""
        return {name: value for name, value in self._process.items() if name.startswith("DOCKER_")}

    async def evaluate_struct(self, config: EvaluatedConfig) -> EvaluatedConfig:
        """Evaluate the texts of a mail server, a mail or a remote host; raises ExpansionError."""
        texts: dict[str, str | tuple[str, ...]] = {}
        for name, value in msgspec.structs.asdict(config).items():
            if isinstance(value, str):
                texts[name] = await self._struct(value)
            elif isinstance(value, tuple):
                texts[name] = tuple([await self._struct(text) for text in value])
        return msgspec.structs.replace(config, **texts)

    def evaluate_otel(self, otel: Otel) -> Otel:
        """Put variables and secrets into the texts of the settings of tracing, without running commands."""
        seen = {**self._process, **self._run_vars, **self._params, **self._secrets}
        return msgspec.structs.replace(
            otel,
            endpoint=expand_plain(otel.endpoint, seen),
            headers={name: expand_plain(text, seen) for name, text in otel.headers.items()},
            resource={
                name: expand_plain(value, seen) if isinstance(value, str) else value
                for name, value in otel.resource.items()
            },
        )

    def _evaluate_auth(self, auth: str | dict[str, str]) -> str | dict[str, str]:
        seen = {**self._process, **self._secrets}
        if isinstance(auth, str):
            return expand_plain(auth, seen)
        return {name: expand_plain(text, seen) for name, text in auth.items()}

    async def _struct(self, text: str) -> str:
        variables = Variables((self._params, self._secrets), environ=self._process)
        evaluation = expand.expand(text, mode=Mode.STRUCT, variables=variables, home=self._home)
        shell_context = self.shell_context
        if not shell_context.cwd.is_dir():  # for a mail about a finished run, whose private directory is removed
            shell_context = msgspec.structs.replace(shell_context, cwd=Path(self._home or "/"))
        return await evaluate(evaluation, shell_context)


def make_environment(run: ClaimedRun, dag: Dag, context: ServerContext) -> RunEnvironment:
    """Return the environment of a run in this process."""
    machine = context.machine.for_run(run.inputs.base_environment, run.inputs.run_as)
    return RunEnvironment(run, dag, machine, str(RunSpool(context.spool, run.key, run.attempt).log))


def uses_run_log(dag: Dag) -> bool:
    """Whether any text of a definition refers to the log file; writing it takes a tenth of the time of a short run."""
    return _LOG_FILE.encode() in msgspec.json.encode(dag)


def _as_dict(pairs: Iterable[Pair]) -> dict[str, str]:
    return {pair.name: pair.value for pair in pairs}
