"""One step, read on its own: all its fields (DAG format 3)."""

from __future__ import annotations

from typing import Any

import msgspec

from dagbook.spec.build.calls import call, config, deprecated_call, executor, parallel
from dagbook.spec.build.chat import messages, step_llm
from dagbook.spec.build.commands import command, shell
from dagbook.spec.build.env_params import env, params
from dagbook.spec.build.field import Field, describe
from dagbook.spec.build.hints import closest
from dagbook.spec.build.hosts import step_container
from dagbook.spec.build.object_schema import ObjectSchema, ParsedObject, warn_unknown_keys
from dagbook.spec.build.policies import continue_on, preconditions, repeat, retry
from dagbook.spec.build.scalars import (
    boolean,
    log_output,
    non_negative,
    text,
    text_map,
    texts,
    texts_or_scalars,
    trimmed,
)
from dagbook.spec.build.types import Inherited, apply_type, step_type
from dagbook.spec.model import Call, Executor, Step
from dagbook.spec.params.param_text import quote
from dagbook.spec.problem import quoted

# fmt: off
SIGNALS = frozenset({
    "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO",
    "SIGKILL", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSEGV", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP",
    "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ",
})
# fmt: on
_NAME_PREFIXES = (("parallel", "parallel"), ("script", "script"), ("command", "cmd"))


class StepDraft(msgspec.Struct):
    """A parsed step that may lack its name and its links to others."""

    field: Field
    parsed: ParsedObject

    def field_for(self, *names: str) -> Field:
        """Return the field of the first given name, or the step's own."""
        return next((self.parsed.fields[name] for name in names if name in self.parsed.fields), self.field)

    @property
    def fields(self) -> dict[str, Any]:
        """The values by the names of the model."""
        return self.parsed.values


def read_step(field: Field, inherited: Inherited) -> StepDraft | None:
    """Read a step object."""
    parsed = STEP.read(field)
    if parsed is None:
        return None
    fields = parsed.values
    fields["working_dir"] = fields.get("working_dir") or fields.pop("dir", "")
    fields.pop("dir", None)
    fields["preconditions"] = fields.get("preconditions", ()) + fields.pop("precondition", ())
    apply_type(field, parsed, inherited)
    if fields.get("script") and "script" in fields.get("run_what", ()):
        parsed.fields["script"].warn("is ignored beside a command of several lines; write that in one line (>-)")
    fields |= fields.pop("run_what", {})
    fields |= fields.pop("output", {})
    if len(fields.get("lines", ())) > 1 and fields.pop("script", ""):
        parsed.fields["script"].warn("is ignored beside several command lines; put it into a step of its own")
    _apply_call(fields)
    return StepDraft(field, parsed)


def build_step(draft: StepDraft, **more: object) -> Step:
    """Build the step of a draft; keyword arguments override its values."""
    return Step(**(draft.fields | more))


def name_prefix(fields: dict[str, Any]) -> str:
    """Return the prefix of a generated name (3.2)."""
    kind: str = fields["executor"].type
    return kind or next((prefix for name, prefix in _NAME_PREFIXES if fields.get(name)), "step")


def _apply_call(fields: dict[str, Any]) -> None:
    """Set what a call implies: executor, command and arguments (3.13)."""
    name = fields.pop("call", "") or fields.get("run", "")
    fields.pop("run", None)
    if not name:
        return
    pairs = fields.get("params", ())
    given = quote(pairs, positions=False)
    fields["call"] = Call(name=name, pairs=pairs, params=given)
    fields["executor"] = Executor(type="parallel" if fields.get("parallel") else "dag")
    fields |= {"command_line": f"{name} {given}".strip(), "command": "call", "args": (name, given)}
    fields["command_list"] = False


def _signal(field: Field) -> str | None:
    name = text(field)
    if name is None or name in SIGNALS:
        return name
    meant = closest(f"SIG{name.strip().upper().removeprefix('SIG')}", SIGNALS) if field.report.may_hint() else ""
    hint = f"; did you mean {meant}?" if meant else ""
    field.refuse(f"must be the name of a signal such as SIGINT, not {describe(name)}{hint}")
    return None


def output(field: Field) -> dict[str, Any] | None:
    """Read the output of a step as the step fields that it sets: a name, or a map (1.30, 4)."""
    if isinstance(field.value, str):
        return {"output": _output_name(field, field.value)}
    if not isinstance(field.value, dict):
        field.expect("the name of a variable, or a map with name, key and omit")
        return None
    warn_unknown_keys(field, list(OUTPUT))
    found: dict[str, Any] = {}
    for key, entry in field.entries():
        name, kind = OUTPUT.get(key, ("", str))
        if name and isinstance(entry.value, kind):
            found[name] = entry.value.strip() if isinstance(entry.value, str) else entry.value
        elif name and key != "name" and entry.value is not None:
            entry.warn(f"is ignored: it must be {'a text' if kind is str else 'true or false'}")
    found["output"] = _output_name(field, found.get("output", ""))
    if not found["output"]:
        field.refuse("needs the name of the variable that gets the output; add name, a text")
        return None
    return found


def _output_name(field: Field, value: str) -> str:
    """Return the name of the variable, which may be written as ``$NAME``; warn of a reference to one."""
    name = value.strip().removeprefix("$").strip()
    if (plain := name.strip("${}")) and plain != name:
        field.warn(f"the variable is called {quoted(name)}, which no text can refer to; write {plain}")
    return name


OUTPUT: dict[str, tuple[str, type]] = {
    "name": ("output", str),
    "key": ("output_key", str),
    "omit": ("output_omit", bool),
}


STEP = ObjectSchema(
    {
        "name": ("name", trimmed),
        "id": ("id", trimmed),
        "description": ("description", trimmed),
        "workingDir": ("working_dir", trimmed),
        "dir": ("dir", trimmed),
        "executor": ("executor", executor),
        "type": ("type", step_type),
        "config": ("config", config),
        "container": ("container", step_container),
        "command": ("run_what", command),
        "script": ("script", trimmed),
        "shell": ("shell", shell),
        "shellPackages": ("shell_packages", texts),
        "stdout": ("stdout", trimmed),
        "stderr": ("stderr", trimmed),
        "output": ("output", output),
        "logOutput": ("log_output", log_output),
        "depends": ("depends", texts_or_scalars),
        "continueOn": ("continue_on", continue_on),
        "retryPolicy": ("retry", retry),
        "repeatPolicy": ("repeat", repeat),
        "preconditions": ("preconditions", preconditions),
        "precondition": ("precondition", preconditions),
        "mailOnError": ("mail_on_error", boolean),
        "signalOnStop": ("signal_on_stop", _signal),
        "call": ("call", call),
        "run": ("run", deprecated_call),
        "params": ("params", params),
        "parallel": ("parallel", parallel),
        "workerSelector": ("worker_selector", text_map),
        "env": ("env", env),
        "timeoutSec": ("timeout_seconds", non_negative),
        "llm": ("llm", step_llm),
        "messages": ("messages", messages),
    },
    expected="a step such as {command: echo hello}",
    later=("action", "with"),
)
