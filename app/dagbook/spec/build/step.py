"""One step, read on its own: command, script and shell (DAG format 3.4), and all other fields (3)."""

from __future__ import annotations

from typing import Any

import msgspec

from dagbook.spec.build.calls import call, config, deprecated_call, executor, parallel
from dagbook.spec.build.env_params import env, params
from dagbook.spec.build.field import Field, describe, unwrap
from dagbook.spec.build.hints import closest
from dagbook.spec.build.hosts import step_container
from dagbook.spec.build.object_schema import ObjectSchema, ParsedObject
from dagbook.spec.build.policies import continue_on, preconditions, repeat, retry
from dagbook.spec.build.scalars import boolean, non_negative, text, text_map, text_or_texts, texts, trimmed
from dagbook.spec.build.types import apply_type, step_type
from dagbook.spec.expansion.shell_words import join_list, split
from dagbook.spec.model import Call, Executor, Step
from dagbook.spec.params.param_text import quote
from dagbook.spec.reading.rendering import render

# fmt: off
SIGNALS = frozenset({
    "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO",
    "SIGKILL", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSEGV", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP",
    "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ",
})
# fmt: on
_NAME_PREFIXES = (("parallel", "parallel"), ("script", "script"), ("command", "cmd"))

MAX_WORDS = 10_000  # of a command; each is evaluated for itself


def command(field: Field) -> dict[str, Any] | None:
    """Read a command as the step fields that it sets; several lines are a script."""
    match field.value:
        case str():
            return _line(field, field.value.strip())
        case list():
            return _words(field)
        case _:
            field.expect("a text or a list")
            return None


def shell(field: Field) -> tuple[str, ...] | None:
    """Read a shell as program and arguments; an empty value is the default shell."""
    match field.value:
        case str():
            return tuple(_split(field, field.value.strip())) if field.value.strip() else ()
        case list():
            return _rendered(field)
        case _:
            field.expect("a text or a list")
            return None


def _line(field: Field, line: str) -> dict[str, Any] | None:
    if not line:
        field.refuse("is empty; write what to run")
        return None
    if "\n" in line:
        return {"script": line}
    words = _split(field, line)
    return {"command_line": line, "command": words[0], "args": tuple(words[1:])} if words else None


def _words(field: Field) -> dict[str, Any] | None:
    if not _are_countable(field, len(field.value)):
        return None
    items = _rendered(field)
    while items and not items[0]:
        items = items[1:]
    if not items:
        return {}
    return {"command_line": join_list(items), "command": items[0], "args": items[1:], "command_list": True}


def _split(field: Field, line: str) -> list[str]:
    try:
        words = split(line)
    except ValueError as error:
        field.refuse(f"cannot be read as a command: {error}")
        return []
    return words if _are_countable(field, len(words)) else []


def _are_countable(field: Field, count: int) -> bool:
    if count > MAX_WORDS:
        field.refuse(f"may have {MAX_WORDS:,} words, these are {count:,}; put them into a script or a file")
    return count <= MAX_WORDS


def _rendered(field: Field) -> tuple[str, ...]:
    return tuple(render(unwrap(node)).strip() for node in field.value)


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


def read_step(field: Field, inherited: Executor) -> StepDraft | None:
    """Read a step object; ``inherited`` is the executor of a step that names none."""
    parsed = STEP.read(field)
    if parsed is None:
        return None
    fields = parsed.values
    fields["working_dir"] = fields.get("working_dir") or fields.pop("dir", "")
    fields.pop("dir", None)
    fields["preconditions"] = fields.get("preconditions", ()) + fields.pop("precondition", ())
    apply_type(parsed)
    fields.setdefault("executor", inherited)
    fields |= fields.pop("run_what", {})
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
    given = quote(fields.get("params", ()), positions=False)
    fields["call"] = Call(name=name, params=given)
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


def _output(field: Field) -> str | None:
    name = trimmed(field)
    return None if name is None else name.removeprefix("$").strip()


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
        "output": ("output", _output),
        "depends": ("depends", text_or_texts),
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
    },
    expected="a step such as {command: echo hello}",
)
