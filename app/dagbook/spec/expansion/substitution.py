"""Substitution of references by variables (DAG format 5.5 steps 1 and 2, 5.6), JSON paths in them included (5.7).

Each reference is replaced once, by the first map that has it. The value is inserted as it is: references, backticks
and quotes in it have no meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

import msgspec

from dagbook.spec.expansion.requests import Evaluation, InsertedValues, JqQuery, Work
from dagbook.spec.expansion.shell_quotes import ShellQuotes
from dagbook.spec.reading.rendering import parse_json, quote_text, render_json

_BRACED = re.compile(r"\$\{([^}]+)\}")
_BARE = re.compile(r"\$([A-Za-z0-9_]+)(?:(\.\S{1,1024})(?!\S))?")
_PATH = re.compile(r"([A-Za-z0-9_]+)(\..+)", re.DOTALL)
_PROPERTY = re.compile(r"\.(stdout|stderr|exitCode|exit_code)(?::([0-9]{1,9})(?::([0-9]{1,9}))?)?")
_NAME = re.compile(r"[A-Za-z0-9_]+")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
_NOT_SET = "is not in the environment of this shell"
_REFERENCE_WORK = 64  # of a reference, besides its text and value
_NO_JSON = object()
_PLAIN = re.compile(r"(?:\.[A-Za-z_][A-Za-z0-9_]*(?:\[-?[0-9]{1,9}\])*|\.(?:\[-?[0-9]{1,9}\])+)+")
_PLAIN_PART = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|(-?[0-9]+)")


class StepFacts(msgspec.Struct, frozen=True):
    """The properties of a step in references such as ``${id.stdout}``: the paths of its logs and its exit code."""

    stdout: str
    stderr: str
    exit_code: int | None = None


class Variables(msgspec.Struct, frozen=True):
    """The variables of a text: maps in their order, the steps of the run, and the environment of the run."""

    maps: Sequence[Mapping[str, str]] = ()
    steps: Mapping[str, StepFacts] = {}
    environ: Mapping[str, str] = {}


class _Found(msgspec.Struct, frozen=True):
    value: str
    by_path: bool


def substitute(
    text: str, variables: Variables, values: InsertedValues, work: Work, *, quoted: bool = True, for_shell: bool = False
) -> Evaluation[str]:
    """Replace the references of a text by marks of their values; references that nothing resolves stay.

    With ``quoted``, ``"${NAME}"`` is replaced with its quotes by the value as a quoted literal, with ``for_shell`` by
    one that a POSIX shell reads as the value.
    """
    return _Substitution(text, variables, values, work, quoted=quoted, for_shell=for_shell).run()


class _Substitution:
    """One pass over a text."""

    def __init__(
        self, text: str, variables: Variables, values: InsertedValues, work: Work, *, quoted: bool, for_shell: bool
    ) -> None:
        self._text = text
        self._variables = variables
        self._values = values
        self._work = work
        self._quoted = quoted
        self._for_shell = for_shell
        self._last_brace = text.rfind("}")
        # A quote protects one reference only: in '${A}'${B} the second one is replaced.
        self._used_quote = -1
        self._parsed: dict[str, object] = {}

    def run(self) -> Evaluation[str]:
        pieces: list[str] = []
        done, position = 0, self._text.find("$")
        while position >= 0:
            pattern = _BRACED if self._text.startswith("${", position) else _BARE
            match = pattern.match(self._text, position) if pattern is _BARE or position < self._last_brace else None
            end = position + 1
            if match is not None:
                start, end, value = yield from self._replace(match)
                if value is not None:
                    pieces += (self._text[done:start], self._values.mark(value))
                    done = end
            position = self._text.find("$", end)
        return "".join((*pieces, self._text[done:])) if pieces else self._text

    def _replace(self, match: re.Match[str]) -> Evaluation[tuple[int, int, str | None]]:
        """Return start and end of a reference, and the text in its place, or None if it stays."""
        start, end = match.span()
        yield from self._work.add(end - start + _REFERENCE_WORK)
        is_braced = match.re is _BRACED
        around = self._text[start - 1 : start] + self._text[end : end + 1]
        if self._quoted and is_braced and around == '""' and self._used_quote != start - 1:
            self._used_quote = end
            found = yield from self._look_up(match[1], _path_of(match[1]))
            if found is not None:
                return self._insert_quoted(start, end, found.value)
        path = _path_of(match[1]) if is_braced else (match[1], match[2]) if match[2] else None
        protected = self._touches_single_quote(start, match.end() if is_braced else match.end(1))
        found = yield from self._look_up(None if protected else match[1], path)
        if not is_braced and (found is None or not found.by_path):
            end = match.end(1)
        return start, end, None if found is None else found.value

    def _touches_single_quote(self, start: int, end: int) -> bool:
        before = self._text[start - 1 : start] == "'" and self._used_quote != start - 1
        after = self._text[end : end + 1] == "'"
        if after:
            self._used_quote = end
        return before or after

    def _insert_quoted(self, start: int, end: int, value: str) -> tuple[int, int, str | None]:
        if not self._for_shell:
            return start - 1, end + 1, quote_text(value)
        quoting = self._shell_quotes.at(start - 1)
        if quoting is not None and not quoting.reread:
            return start - 1, end + 1, quoting.insert(value)
        if _PLAIN_VALUE.fullmatch(value):  # the same text however often it is read
            return start, end, value
        name = self._text[start + 2 : end - 1]
        # The shell itself expands it, to a value that it does not evaluate again. One without the variable ends.
        return start, end, f"${{{name}?{_NOT_SET}}}" if _NAME.fullmatch(name) else None

    @cached_property
    def _shell_quotes(self) -> ShellQuotes:
        return ShellQuotes(self._text)

    def _look_up(self, key: str | None, path: tuple[str, str] | None) -> Evaluation[_Found | None]:
        """Find a reference in the first map that has it: as a path, else as a whole."""
        tried: set[str] = set()
        for variables in self._variables.maps:
            if path is not None:
                value = yield from self._follow(variables, *path, tried)
                if value is not None:
                    return _Found(value, by_path=True)
            if key is not None and key in variables:
                yield from self._work.add(len(variables[key]))
                return _Found(variables[key], by_path=False)
        return None

    def _follow(self, values: Mapping[str, str], name: str, path: str, tried: set[str]) -> Evaluation[str | None]:
        """Resolve ``${name.path}``: a property of a step, else a path into the JSON text of a variable."""
        steps = self._variables.steps
        found = _step_property(steps[name], path) if name in steps else None
        if found is not None:
            return found
        text = values.get(name, self._variables.environ.get(name))
        if text is None or text in tried:
            return None
        tried.add(text)
        if text not in self._parsed:
            yield from self._work.add(len(text))
            try:
                self._parsed[text] = parse_json(text)
            except ValueError:
                self._parsed[text] = _NO_JSON
        return (yield from _read(text, self._parsed[text], path))


def _path_of(content: str) -> tuple[str, str] | None:
    found = _PATH.fullmatch(content)
    return (found[1], found[2]) if found else None


def _step_property(facts: StepFacts, path: str) -> str | None:
    """Return ``.stdout``, ``.stderr`` or ``.exitCode``, or the part of it that ``:start:length`` selects."""
    found = _PROPERTY.fullmatch(path)
    if found is None:
        return None
    whole = {"stdout": facts.stdout, "stderr": facts.stderr}.get(found[1], str(facts.exit_code or 0))
    if not whole:
        return None
    start = int(found[2] or 0)
    return whole[start : start + int(found[3])] if found[3] else whole[start:]


def _read(text: str, value: object, path: str) -> Evaluation[str | None]:
    """Return what a path selects as text; None if there is no JSON, or the path fails or yields nothing."""
    if value is _NO_JSON:
        return None
    if not _PLAIN.fullmatch(path):
        return (yield JqQuery(text, path))
    try:
        return render_json(_select(value, path))
    except ValueError:
        return None


def _select(value: object, path: str) -> object:
    """Follow a path of names and numbers, which needs no jq and keeps long integers exact."""
    for name, number in _PLAIN_PART.findall(path):
        if value is None:
            continue
        if name and isinstance(value, dict):
            value = value.get(name)
        elif number and isinstance(value, list):
            position = int(number)
            value = value[position] if -len(value) <= position < len(value) else None
        else:
            raise ValueError(f"{path} does not fit the value")
    return value
