"""Warnings of values in shell text that are not protected, or that are left to a shell: params and outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from dagbook.spec.expansion.shell_quotes import Quoting, ShellQuotes, reads_posix
from dagbook.spec.model import Dag, Definition, Step
from dagbook.spec.problem import MAX_PROBLEMS, quoted

_REFERENCE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)(?:\.[^}]*)?\}|([A-Za-z0-9_]+))")
_BARE = re.compile(r"\$()([A-Za-z0-9_]+)")
_WORDS = frozenset(map(str, range(1, 100)))
_SHOWN_LINES = 5
_PART = (
    "the shell reads the value of {name} as a part of the text; "
    'write "${{{name}}}" with its quotes, which makes it one word'
)
_UNCERTAIN = (
    "the value of {name} is left to the shell, which takes it from its environment: its quotes cannot be followed here"
)
_REREAD = (
    "the value of {name} is left to the other shell that reads this text, which takes it from its environment; "
    "without the variable there, it ends with an error"
)
_NO_VARIABLE = "; this part of it is no variable there, so give it a name by env of the step"
_PASTED = (
    "another shell reads the value of {name} as a part of its text; give it as an argument, or write the text in "
    "single quotes, where that shell takes it from its environment"
)
_EVALUATED = (
    "{command} evaluates the value of {name} and runs the commands in it, as in a[$(date)]; "
    "check before that it is a plain name or number"
)
_COMMAND_TYPES = frozenset({"", "command", "shell"})


def find_warnings(definition: Definition) -> tuple[str, ...]:
    """Return a warning for each param or output in the shell text of a step that ``"${NAME}"`` does not make a word."""
    return tuple(islice(_of_definition(definition), MAX_PROBLEMS))


def _of_definition(definition: Definition) -> Iterator[str]:
    for dag in (definition.dag, *definition.local_dags):
        names = {pair.name for pair in dag.params} | {step.output for step in dag.steps if step.output}
        # A caller may give a DAG without params any words, which are then $1 and so on.
        names |= set() if dag.params else _WORDS
        label = f"{dag.name}: " if dag is not definition.dag else ""
        handlers = (
            dag.handlers.init,
            dag.handlers.success,
            dag.handlers.failure,
            dag.handlers.abort,
            dag.handlers.exit,
            dag.handlers.wait,
        )
        for step in (*dag.steps, *filter(None, handlers)):
            for field, text in _shell_texts(dag, step):
                is_long = "\n" in text.strip()
                for fault, lines in _by_fault(text, names).items():
                    numbers = ", ".join(map(str, lines[:_SHOWN_LINES])) + (", …" if len(lines) > _SHOWN_LINES else "")
                    where = f", line{'s' if len(lines) > 1 else ''} {numbers}" if is_long else ""
                    yield f"{label}step {quoted(step.name)}: {field}{where}: {fault}"


def _by_fault(text: str, names: set[str]) -> dict[str, list[int]]:
    """Return the first lines of each fault."""
    by_fault: dict[str, list[int]] = {}
    line, position = 1, 0
    for fault, start in _faults(text, names):
        line, position = line + text.count("\n", position, start), start
        lines = by_fault.setdefault(fault, [])
        if line not in lines and len(lines) <= _SHOWN_LINES:
            lines.append(line)
    return by_fault


def _shell_texts(dag: Dag, step: Step) -> Iterator[tuple[str, str]]:
    shell = step.shell or dag.shell or ("sh",)
    if step.executor.type not in _COMMAND_TYPES or not reads_posix(shell):
        return
    if step.script:
        if not step.command and not step.script.startswith("#!"):
            yield "script", step.script
    elif step.command_list:
        yield from (("command", item) for item in (step.command, *step.args) if " " not in item)
    else:
        yield from (("command", line) for line in ([each.line for each in step.lines] or [step.command_line]))
    for condition in step.preconditions:
        if not condition.expected:
            yield "preconditions", condition.condition


def _faults(text: str, names: set[str]) -> Iterator[tuple[str, int]]:
    """Yield what is wrong with the references that the shell does not read as one quoted word, and where they are."""
    quotes: ShellQuotes | None = None
    # Behind the last closing brace each opening one would be followed to the end of the text.
    last = text.rfind("}") + 1
    for found in chain(_REFERENCE.finditer(text, 0, last), _BARE.finditer(text, last)):
        name, start, end = found[1] or found[2], found.start(), found.end()
        around = text[start - 1 : start] + text[end : end + 1]
        if name not in names or "'" in around:  # a single quote protects a reference (DAG format 5.5)
            continue
        if not found[1] or around != '""':
            yield _PART.format(name=name), start
            continue
        quotes = quotes or ShellQuotes(text)
        fault = _fault_of(quotes.at(start - 1), has_path=found[0] != f"${{{name}}}")
        if fault:
            yield fault.format(name=name), start


def _fault_of(quoting: Quoting | None, *, has_path: bool) -> str:
    if quoting is None or quoting.reread:
        left = _UNCERTAIN if quoting is None else _REREAD
        return left + (_NO_VARIABLE if has_path else "")
    if quoting.pasted:
        return _PASTED
    return _EVALUATED.replace("{command}", quoting.evaluation) if quoting.evaluation else ""
