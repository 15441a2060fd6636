"""What the pages of docs/reference must have an entry for, from the code and not from the makers of the pages."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path

import click

import dagbook
from dagbook.cli import cli
from dagbook.cli.commands import GlobalOptions, LocalOptions
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.errors import AppError
from dagbook.executors.archive.report import Code
from dagbook.server import connections
from dagbook.settings import TABLE
from dagbook.settings.definitions import OTHER_VARIABLES
from dagbook.spec.config_keys import CONFIG_KEYS
from dagbook.spec.grammar import PARTS
from scripts.documentation.pages import api, commands
from scripts.documentation.pages.keys import config_title, title

OPTIONS = "Settings as options"
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w.-]*")
_CODE_SPAN = re.compile(r"`([^`]+)`")
_REQUEST = re.compile(r"^`([A-Z]+ /.*)`")
_METRIC = re.compile(r'(Counter|Gauge|Histogram|_histogram)(?:MetricFamily)?\((?:\s*registry,)?\s*"(\w+)"')
_CODE_AND_STATUS = re.compile(r'^    code, status = "(\w+)", (\d+)', re.MULTILINE)
_STATUS_AND_CODE = re.compile(r'_(?:error_response|refuse)\(\s*(?:send, )?(\d+), "(\w+)"')
_CODE = re.compile(r'^    code = "(\w+)"$', re.MULTILINE)
_STATUS = re.compile(r"status: int = (\d+)")
_EXIT_CODE = re.compile(r"(?:exit_code|EXIT_\w+|\w+EXIT_CODE|_CANNOT|_STOPPED)(?:: int)? ?= ?(-?\d+)")
_VIEW = re.compile(r"CREATE VIEW (\w+) AS\n(.*?)\nFROM ", re.DOTALL)
_COLUMN = re.compile(r"^    .*\bAS (\w+),?$", re.MULTILINE)
PACKAGE = Path(dagbook.__file__).parent
Entry = tuple[str, str]  # a heading and the first cell of a row below it, without backticks; either may be empty


def list_entries(text: str) -> dict[Entry, int]:
    """List the headings of a page, the rows below them by their first cell, and options, each with its line's index."""
    heading = ""
    found: dict[Entry, int] = {}
    for index, line in enumerate(text.splitlines()):
        if line.startswith("#"):
            heading = line.lstrip("# ")
            found[heading, ""] = index
        elif line.startswith("| "):
            first, second, *_ = line[2:].split(" | ")
            pair = f"{first} {second}".replace("`", "")
            names = [first, pair, *_CODE_SPAN.findall(first), *_REQUEST.findall(second)]
            found |= dict.fromkeys(((place, name) for name in names for place in (heading, "")), index)
        if line.startswith(("| `-", OPTIONS)):
            cell = line if line.startswith(OPTIONS) else line[2:].partition(" |")[0]
            found |= dict.fromkeys(((heading, option) for option in _OPTION.findall(cell)), index)
    return found


def _keys() -> Iterator[Entry]:
    for part, known in PARTS.items():
        yield from ((title(part), key) for key in known.keys)
    for name, keys in CONFIG_KEYS.items():
        yield from ((config_title(name), key) for key in keys)


def _commands() -> Iterator[Entry]:
    seen: set[click.Command] = set()
    for context in commands.walk(cli):
        yield context.command_path, ""
        if context.command in seen:  # another name of a command refers to its section
            continue
        seen.add(context.command)
        for parameter in context.command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                yield from ((context.command_path, name) for name in (*parameter.opts, *parameter.secondary_opts))
    for kind in (LocalOptions, GlobalOptions):
        shared = (option for option in kind("x").params if isinstance(option, click.Option) and not option.hidden)
        yield from (("Options of every command", name) for option in shared for name in option.opts)


def _settings() -> Iterator[Entry]:
    yield from (("Settings", setting.name) for setting in TABLE)
    yield from (("Other variables", name) for name in OTHER_VARIABLES)


def _operations() -> Iterator[Entry]:
    for method, path in api.required_permissions():
        if method != "OPTIONS" and not path.startswith("/openapi.json/"):  # pages of the framework, which are hidden
            yield "", f"{method} {path}"


def _metrics() -> Iterator[Entry]:
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "prometheus_client" in text:
            for kind, name in _METRIC.findall(text):
                yield "", name + "_total" * kind.startswith("Counter")


def _errors() -> Iterator[Entry]:
    """Yield the status and code of application errors, of the framework's errors, and of what is refused before it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for code, status in _CODE_AND_STATUS.findall(text):
            yield "Error codes", f"{status} {code}"
        for status, code in _STATUS_AND_CODE.findall(text):
            yield "Error codes", f"{status} {code}"
        for code in _CODE.findall(text):  # its status is the one of AppError, or the default of __init__
            status = _STATUS.search(text)
            yield "Error codes", f"{status[1] if status else AppError.status} {code}"
    for status, code in map(_read_refusal, connections.MESSAGES):
        yield "Error codes", f"{status} {code}"


def _read_refusal(status: HTTPStatus) -> tuple[int, str]:
    body = connections.refusal(status).partition(b"\r\n\r\n")[2]
    return status.value, json.loads(body)["code"]


def _exit_codes() -> Iterator[Entry]:
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        yield from (("Commands", code) for code in sorted(_returned(ast.parse(path.read_text(encoding="utf-8")))))
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parts[len(PACKAGE.parts)] in {"engine", "executors", "runs"}:
            yield from (("Steps", code) for code in _EXIT_CODE.findall(path.read_text(encoding="utf-8")))
    yield from (("Steps of type archive", str(code.value)) for code in Code)


def _returned(module: ast.Module) -> set[str]:
    """Return the numbers that commands of a module return: their exit codes."""
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    commands_of_module = [
        function for function in functions if any("command" in ast.unparse(one) for one in function.decorator_list)
    ]
    values = [node.value for one in commands_of_module for node in ast.walk(one) if isinstance(node, ast.Return)]
    parts = [part for value in values if value is not None for part in ast.walk(value)]
    return {str(part.value) for part in parts if isinstance(part, ast.Constant) and type(part.value) is int}


def _statuses() -> Iterator[Entry]:
    yield from (("Statuses of runs", f"{status.label} {status.value}") for status in RunStatus)
    yield from (("Statuses of nodes", f"{status.label} {status.value}") for status in NodeStatus)


def _views() -> Iterator[Entry]:
    for path in sorted((PACKAGE.parents[1] / "migrations" / "views").glob("*.sql")):
        for name, body in _VIEW.findall(path.read_text(encoding="utf-8")):
            yield name, ""
            yield from ((name, column) for column in _COLUMN.findall(body))


REQUIRED: dict[str, Callable[[], Iterator[Entry]]] = {
    "keys.md": _keys,
    "commands.md": _commands,
    "settings.md": _settings,
    "api.md": _operations,
    "metrics.md": _metrics,
    "errors.md": _errors,
    "exit-codes.md": _exit_codes,
    "state-machine.md": _statuses,
    "sql-views.md": _views,
}


def find_missing(required: Iterable[Entry], text: str) -> list[Entry]:
    """List the required entries that the text of a page does not have."""
    found = list_entries(text)
    return [entry for entry in required if entry not in found]
