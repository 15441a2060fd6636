"""Preview of a step or handler, with its texts evaluated as far as they are known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import yaml

from dagbook.engine.event import INIT
from dagbook.engine.plan import Plan
from dagbook.executors import registry, shell
from dagbook.executors.contract import SetupError, SharedConfig
from dagbook.executors.shell import ShellTexts
from dagbook.json_values import Json
from dagbook.runs.dry_run import policies
from dagbook.runs.dry_run.policies import preview_condition
from dagbook.runs.evaluation import sub_run_plan
from dagbook.runs.evaluation.environment import RunEnvironment, StepContext
from dagbook.runs.evaluation.placeholders import Placeholders
from dagbook.spec.expansion import scope, shell_words
from dagbook.spec.expansion.expand import ExpansionError, StepFacts
from dagbook.spec.expansion.scope import StepScope
from dagbook.spec.model import Container, Pair, Step
from dagbook.spec.params.param_text import GivenParams, describe

_NAME = re.compile(r"[A-Za-z0-9_]+")
_SCRIPT = "<script>"
_MAX_CALLS = 20
_CONFIG_WIDTH = 60


class _Dumper(yaml.SafeDumper):
    """YAML dumper that writes texts with several lines as block scalars."""

    def represent_lines(self, text: str) -> yaml.ScalarNode:
        """Represent a text, with several lines as a block scalar."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_lines)


class Fact(msgspec.Struct, frozen=True):
    """Labelled text of a dry run, of one or several lines."""

    label: str
    text: str


class StepPreview(msgspec.Struct, frozen=True, kw_only=True):
    """Preview of a step or handler; ``note`` says why it would not run."""

    title: str
    facts: tuple[Fact, ...]
    note: str = ""


class Called(msgspec.Struct, frozen=True):
    """DAG that a step would call, with the params of the first sub-run and the number of sub-runs."""

    name: str
    params: GivenParams
    step: str
    count: int
    environ: Mapping[str, str]
    directory: str


class StepReader:
    """Evaluates the steps of one DAG for a dry run."""

    def __init__(self, plan: Plan, environment: RunEnvironment, placeholders: Placeholders) -> None:
        self._plan = plan
        self._environment = environment
        self._placeholders = placeholders
        self._outputs = frozenset(step.output for step in plan.dag.steps if step.output)
        self._ids = frozenset(step.id for step in plan.dag.steps if step.id)
        self.called: list[Called] = []
        self.unmet: dict[int | None, tuple[str, ...]] = {}

    async def read_dag_conditions(self) -> list[Fact]:
        """Evaluate the preconditions of the DAG itself."""
        context = self._environment.condition_context_of_dag()
        previews = [
            await preview_condition(condition, context, self._placeholders)
            for condition in self._plan.dag.preconditions
        ]
        self.unmet[None] = tuple(preview.unmet for preview in previews)
        return [Fact("precondition", preview.text) for preview in previews]

    async def read(self, key: int) -> tuple[Fact, ...]:
        """Return the facts about a step or handler, or the reason why it would fail."""
        names = frozenset(_NAME.findall(msgspec.json.encode(self._plan.step(key)).decode()))
        outputs = self._find_outputs(key, names)
        step = self._prepare(self._plan.step(key), outputs)
        facts: list[Fact] = []
        try:
            await self._read(key, step, self._context(key, outputs, names), facts)
        except (ExpansionError, SetupError, ValueError) as error:
            facts.append(Fact("would fail", self._placeholders.show(str(error))))
        return (*facts, *self._read_policies(step))

    def _prepare(self, step: Step, outputs: Sequence[str]) -> Step:
        """Replace what only a run can determine by placeholders."""
        placeholders = self._placeholders
        step = msgspec.structs.replace(step, env=placeholders.hide_credentials(step.env))
        return (
            msgspec.convert(placeholders.replace_paths(msgspec.to_builtins(step), outputs), Step) if outputs else step
        )

    def _find_outputs(self, key: int, names: frozenset[str]) -> list[str]:
        """List the outputs that a step sees and refers to."""
        steps = self._plan.dag.steps
        if not self._outputs & names:
            return []
        sources = range(len(steps)) if key < 0 else scope.visible_outputs(steps, key)
        return list(dict.fromkeys(steps[source].output for source in sources if steps[source].output in names))

    def _context(self, key: int, outputs: Sequence[str], names: frozenset[str]) -> StepContext:
        placeholders = self._placeholders
        status = "running" if key == INIT else placeholders.replace("${DAG_RUN_STATUS}")
        return StepContext(
            outputs={name: placeholders.replace(f"${{{name}}}") for name in outputs},
            steps={
                name: StepFacts(
                    placeholders.replace(f"${{{name}.stdout}}"), placeholders.replace(f"${{{name}.stderr}}")
                )
                for name in self._ids & names
            },
            handler_status=status if key < 0 else "",
            log_files={
                name: placeholders.replace(f"${{{name}}}")
                for name in ("DAG_RUN_STEP_STDOUT_FILE", "DAG_RUN_STEP_STDERR_FILE", "DAG_SUMMARY")
            },
        )

    async def _read(self, key: int, step: Step, context: StepContext, facts: list[Fact]) -> None:
        environment, placeholders = self._environment, self._placeholders
        cwd = environment.directory_of(step)
        env = await environment.evaluate_step_env(step, context, cwd)
        await self._read_conditions(key, step, context, env, facts)
        env = placeholders.hide_credentials(env)
        scope = environment.scope(step.name, context, cwd=cwd, step_env=env)
        kind = step.executor.type
        texts = await environment.evaluate_texts(step, scope, context)
        if kind in registry.CALL_TYPES:
            await self._read_call(step, scope, context, facts)
        elif kind in registry.COMMAND_TYPES:
            self._add_facts(facts, *_command_facts(texts))
        else:
            config = await environment.evaluate_config(step.executor.config, scope, context)
            shared = await environment.evaluate_shared()
            if step.container is not None:
                container = await environment.evaluate_container(step.container, scope, context)
                shared = msgspec.structs.replace(shared, container=container)
            self._add_facts(facts, *_executor_facts(step, texts, placeholders.show_config(config), shared))
            registry.find(kind)
        self._add_facts(
            facts, Fact("env", pairs_text(env)), Fact("directory", cwd if cwd != environment.work_dir else "")
        )
        for label, text in (("stdout to", step.stdout), ("stderr to", step.stderr)):
            self._add_facts(facts, Fact(label, str(await environment.evaluate_redirect(text) or "")))
        await self._read_retry(step, facts)

    def _add_facts(self, facts: list[Fact], *more: Fact) -> None:
        facts += [Fact(fact.label, self._placeholders.show(fact.text)) for fact in more if fact.text]

    async def _read_conditions(
        self, key: int, step: Step, context: StepContext, env: tuple[Pair, ...], facts: list[Fact]
    ) -> None:
        if not step.preconditions:
            return
        evaluation = await self._environment.condition_context_of_step(step, context, env)
        previews = [
            await preview_condition(condition, evaluation, self._placeholders) for condition in step.preconditions
        ]
        if any(preview.unmet for preview in previews):
            self.unmet[key] = tuple(preview.unmet for preview in previews)
        facts += [Fact("precondition", preview.text) for preview in previews]

    async def _read_call(self, step: Step, scope: StepScope, context: StepContext, facts: list[Fact]) -> None:
        environment = self._environment
        name, params = await sub_run_plan.evaluate_calls(step, environment.evaluator(scope, context))
        directory = environment.directory_of(step)
        inherited = environment.inherited_env(step)
        self.called.append(Called(name, params[0], step.name, len(params), inherited, directory))
        self._add_facts(facts, Fact("calls", name), *_call_facts(step, [each.text for each in params]))

    async def _read_retry(self, step: Step, facts: list[Fact]) -> None:
        retry = step.retry
        if retry is None:
            return
        texts = [text for text in (retry.limit, retry.interval_seconds) if isinstance(text, str) and "`" in text]
        if texts:
            self._add_facts(facts, Fact("retries", f"from {' and '.join(texts)}, evaluated when it runs"))
            return
        limit = await self._environment.evaluate_number(retry.limit, "retryPolicy.limit")
        interval = await self._environment.evaluate_number(retry.interval_seconds, "retryPolicy.intervalSec")
        self._add_facts(facts, Fact("retries", policies.describe_retry(step, limit, interval)))

    def _read_policies(self, step: Step) -> Iterator[Fact]:
        texts = {
            "repeats": policies.describe_repeat(step.repeat) if step.repeat else "",
            "time limit": policies.seconds(step.timeout_seconds) if step.timeout_seconds > 0 else "",
            "output": f"stdout becomes ${{{step.output}}}" if step.output else "",
            "continues on": policies.describe_continue_on(step.continue_on),
            "stopped by": step.signal_on_stop,
            "mail": "to errorMail, when it fails" if step.mail_on_error else "",
            "runs on": ", ".join(f"{name}={value}" for name, value in step.worker_selector.items()),
        }
        return (Fact(label, self._placeholders.show(text)) for label, text in texts.items() if text)


def _command_facts(texts: ShellTexts) -> Iterator[Fact]:
    if texts.following:
        yield Fact("commands", "\n".join(each.line for each in (texts, *texts.following)))
        if texts.shell:
            yield Fact("shell", shell_words.join_list(texts.shell))
        return
    argv = shell.program_of(texts, _SCRIPT if texts.script else None)
    if texts.line and argv[-1] == texts.line:
        yield Fact("command", texts.line)
        yield Fact("shell", shell_words.join_list(argv[:-1]))
        return
    yield Fact("command", shell_words.join_list(argv))
    yield Fact("script", texts.script)


def _executor_facts(step: Step, texts: ShellTexts, config: Json, shared: SharedConfig) -> Iterator[Fact]:
    kind = step.executor.type
    yield Fact("executor", kind)
    yield Fact("commands" if texts.following else "command", "\n".join(each.line for each in (texts, *texts.following)))
    yield Fact("script", texts.script)
    yield Fact("values", "\n".join(f"{reference} = {value}" for reference, value in texts.values.items()))
    if config:
        text = yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_CONFIG_WIDTH)
        yield Fact("config", text.rstrip())
    if kind == "mail" and shared.smtp is not None:
        user = f", as {shared.smtp.username}" if shared.smtp.username else ", without login"
        yield Fact("smtp", f"{shared.smtp.host}:{shared.smtp.port or '25'}{user}")
    if kind == "ssh" and shared.ssh is not None:
        yield Fact("ssh", f"{shared.ssh.user}@{shared.ssh.host}:{shared.ssh.port}")
    if kind in ("docker", "container") and shared.container is not None:
        yield Fact("container", describe_container(shared.container))


def describe_container(container: Container) -> str:
    """Return the image of a new container, or the name of an existing one."""
    return f"{container.exec}, which runs already" if container.exec else container.image


def _call_facts(step: Step, params: Sequence[str]) -> Iterator[Fact]:
    if step.parallel is None:
        yield Fact("params", params[0])
        return
    more = f"\n… and {len(params) - _MAX_CALLS} more" if len(params) > _MAX_CALLS else ""
    yield Fact("runs", f"{len(params)}, at most {step.parallel.max_concurrent} at a time, with")
    yield Fact("params", "\n".join(params[:_MAX_CALLS]) + more)


def pairs_text(pairs: tuple[Pair, ...]) -> str:
    """Format variables, one per line."""
    return "\n".join(describe(pairs))
