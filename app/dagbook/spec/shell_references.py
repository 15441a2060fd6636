"""Warnings of values that stand in shell text without protection: params and outputs outside ``"${NAME}"``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from dagbook.spec.expansion.shell_quotes import ShellQuotes, reads_posix
from dagbook.spec.model import Dag, Definition, Step
from dagbook.spec.problem import MAX_PROBLEMS, quoted

_REFERENCE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)(?:\.[^}]*)?\}|([A-Za-z0-9_]+))")
_BARE = re.compile(r"\$()([A-Za-z0-9_]+)")
_WORDS = frozenset(map(str, range(1, 100)))
_COMMAND_TYPES = frozenset({"", "command", "shell"})


def find_warnings(definition: Definition) -> tuple[str, ...]:
    """Return a warning for each param or output of a step that its shell would read as part of the program."""
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
                for name in dict.fromkeys(_unprotected(text, names)):
                    yield (
                        f"{label}step {quoted(step.name)}: {field}: the shell reads the value of {name} as a part of "
                        f'the text; write "${{{name}}}" with its quotes, which makes it one word'
                    )


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


def _unprotected(text: str, names: set[str]) -> Iterator[str]:
    """Yield the names of the references that the shell does not read as one quoted word."""
    quotes: ShellQuotes | None = None
    # Behind the last closing brace each opening one would be followed to the end of the text.
    last = text.rfind("}") + 1
    for found in chain(_REFERENCE.finditer(text, 0, last), _BARE.finditer(text, last)):
        name, start, end = found[1] or found[2], found.start(), found.end()
        around = text[start - 1 : start] + text[end : end + 1]
        if name not in names or "'" in around:  # a single quote protects a reference (DAG format 5.5)
            continue
        if found[1] and around == '""':
            quotes = quotes or ShellQuotes(text)
            if quotes.at(start - 1) is not None:
                continue
        yield name
