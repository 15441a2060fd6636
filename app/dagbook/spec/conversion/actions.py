"""What the actions of the 2.x dialect are in the format: rules from the keys of ``with`` to those of a step."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping

import msgspec
import yaml

from dagbook.spec.conversion.source import Entry, plain_data
from dagbook.spec.expansion import shell_words
from dagbook.spec.model import SQL_TYPES
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render

# Types whose config has keys of its own; all of them are in camel case.
TYPES_WITH_CONFIG = frozenset({"http", "ssh", "jq", "docker", "container", "mail", "archive", *SQL_TYPES})
_NOOP = 'an empty command will do, for example: command: ":"'
_OPERATORS = re.compile(r"[\s|\"'`]|&&")
_FOR_SHELLS = re.compile(r"[^\w\s%+,./:=@^$-]")  # what a shell would not pass on as it is
_NO_WIDTH = 1 << 30
_With = Mapping[str, Entry]
_REQUIRED = {"exec": "command", "http.request": "url", "ssh.run": "command", "jq.filter": "filter", "dag.run": "dag"}


class Made(msgspec.Struct):
    """An entry with a value that is made, on one line, of entries of ``with``."""

    key: str
    text: str  # YAML that is valid inside brackets, too
    sources: tuple[Entry, ...] = ()


class Moved(msgspec.Struct):
    """An entry of ``with`` that becomes one of the step, or keeps its place in config, under another key."""

    key: str
    entry: Entry


class Rewritten(msgspec.Struct):
    """What stands in place of ``action`` or ``run``, of ``with``, in ``config``, and what has no counterpart."""

    head: Made | None  # None: the key of ``run`` is renamed
    parts: list[Made | Moved] = []
    config: list[Moved] = []
    left: list[Entry] = []


class NoCounterpartError(Exception):
    """The step stays as it is, for the reason in the message."""


_Rule = Callable[[_With], Rewritten]


def render_inline(value: object) -> str:
    """Render a value on one line, as YAML that is valid inside brackets."""
    text: str = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=_NO_WIDTH)
    return text.strip()[1:-1]


def camel_case(key: str) -> str:
    """Return the spelling of a key of the 2.x dialect in the format."""
    if key == "skip_tls_verify":
        return "skipTLSVerify"
    return re.sub(r"(?<=[a-z0-9])_([a-z0-9])", lambda found: found[1].upper(), key)


def rewrite_action(action: str, given: _With) -> Rewritten:
    """Rewrite a step with an action. Raises NoCounterpartError."""
    rule = _RULES.get(action)
    if rule is None:
        hint = f"; {_NOOP}" if action == "noop" else ""
        raise NoCounterpartError(f"the action {quoted(action)} has no counterpart{hint}")
    required = _REQUIRED.get(action, "")
    if required and (required not in given or given[required].value.content == ""):
        raise NoCounterpartError(f"the action {quoted(action)} needs {required} in with")
    return rule(given)


def rewrite_run(given: _With) -> Rewritten:
    """Rewrite what stands in ``with`` beside ``run``: shell, its arguments and packages."""
    parts: list[Made | Moved] = []
    shell, arguments = given.get("shell"), given.get("shell_args")
    if shell and arguments:
        words = [*_words(shell), *_words(arguments)]
        parts.append(Made("shell", render_inline(words), (shell, arguments)))
    elif shell:
        parts.append(Moved("shell", shell))
    if "shell_packages" in given:
        parts.append(Moved("shellPackages", given["shell_packages"]))
    known = {"shell", "shell_packages"} | ({"shell_args"} if shell else set())
    return Rewritten(None, parts, left=_others(given, known))


def config_of(given: _With, *known: str) -> list[Moved]:
    """Return the entries of a config: those of ``with`` that are not known otherwise, in the case of the format."""
    return [Moved(camel_case(entry.name), entry) for entry in _others(given, known)]


def _others(given: _With, known: Collection[str]) -> list[Entry]:
    return [entry for name, entry in given.items() if name not in known]


def _words(entry: Entry) -> list[str]:
    if entry.value.scalar is not None:
        return shell_words.split(entry.value.scalar) if entry.value.scalar.strip() else []
    return [render(plain_data(item)) for item in entry.value.items]


def _program(given: _With) -> list[Made | Moved]:
    """Make the command of a program and its arguments; a program that is given alone stays as it is."""
    command, arguments = given.get("command"), given.get("args")
    if command is None or arguments is None:
        return [Moved("command", command)] if command else []
    program = command.value.scalar
    # A first item with a blank would make the list one of several commands.
    first = [shell_words.quote(program) if re.search(r"\s", program) else program] if program else _words(command)
    return [Made("command", render_inline([*first, *_words(arguments)]), (command, arguments))]


def _exec(given: _With) -> Rewritten:
    (command,) = _program(given)
    parts: list[Made | Moved] = []
    arguments = _words(given["args"]) if "args" in given else []
    if any(not word or _FOR_SHELLS.search(word) for word in arguments):
        parts.append(Made("shell", "direct"))  # a shell would not pass on the arguments as they are
    return Rewritten(_inline(command), parts, left=_others(given, ("command", "args")))


def _inline(part: Made | Moved) -> Made:
    if isinstance(part, Made):
        return part
    return Made(part.key, render_inline(plain_data(part.entry.value)), (part.entry,))


def _http(given: _With) -> Rewritten:
    method, url = given.get("method"), given["url"]
    word = render(plain_data(method.value)).strip() if method else "GET"
    address = render(plain_data(url.value)).strip()
    line = f"{word} {shell_words.quote(address) if _OPERATORS.search(address) else address}"
    command = Made("command", render_inline(line), (method, url) if method else (url,))
    return Rewritten(Made("type", "http"), [command], config_of(given, "method", "url"))


def _jq(given: _With) -> Rewritten:
    program = given["filter"]
    parts: list[Made | Moved] = [Moved("command", program)]
    lines = (program.value.scalar or "").strip().split("\n")
    if len(lines) > 1:  # a command of several lines would be a script
        if any("#" in line for line in lines):
            raise NoCounterpartError("the filter has several lines with #; write it on one line")
        parts = [Made("command", render_inline(" ".join(line.strip() for line in lines)), (program,))]
    if "data" in given:
        parts.append(_json(given["data"]))
    left = [given["input"]] if "input" in given else []
    return Rewritten(Made("type", "jq"), parts, config_of(given, "filter", "data", "input"), left)


def _json(entry: Entry) -> Made | Moved:
    """Make the script of the data; a text that is JSON, or becomes it when it is evaluated, stays as it is."""
    data = plain_data(entry.value)
    if isinstance(data, str):
        try:
            json.loads(data)
        except ValueError:
            if re.search(r"[$`]", data):
                return Moved("script", entry)
        else:
            return Moved("script", entry)
    return Made("script", render_inline(json.dumps(data, ensure_ascii=False)), (entry,))


def _typed(kind: str, make: Callable[[_With], list[Made | Moved]], *known: str) -> _Rule:
    """Make the rule of a type that takes nearly all of ``with`` as its config: all but what is known."""
    return lambda given: Rewritten(Made("type", kind), make(given), config_of(given, *known))


def _dag(given: _With) -> Rewritten:
    call = _inline(Moved("call", given["dag"]))
    others = {name: entry for name, entry in given.items() if name != "dag"}
    parts: list[Made | Moved] = []
    if params := others.pop("params", None):
        parts.append(Moved("params", params))
    return Rewritten(call, parts, left=list(others.values()))


_RULES: dict[str, _Rule] = {
    "exec": _exec,
    "http.request": _http,
    "ssh.run": _typed("ssh", lambda given: [Moved("command", given["command"])], "command"),
    "jq.filter": _jq,
    **dict.fromkeys(("docker.run", "container.run"), _typed("docker", _program, "command", "args")),
    "mail.send": _typed("mail", lambda _: []),
    "archive.create": _typed("archive", lambda _: [Made("command", "create")]),
    "archive.extract": _typed("archive", lambda _: [Made("command", "extract")]),
    "archive.list": _typed("archive", lambda _: [Made("command", "list")]),
    "dag.run": _dag,
}
