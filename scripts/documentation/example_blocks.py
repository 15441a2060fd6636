"""The code blocks of the documentation: what is to happen with each, and how output is compared. Pure.

A block's language and the comments in the lines directly before it say what happens with it:

=========  ==================================================================================================
yaml       a definition: validated without problems and warnings, then run to success in a fresh home
console    lines ``$ command``, continued by lines ``> …``, each with the output that it prints after it
sh         commands without their output, which have to exit with 0
others     text that no reader types: not carried out
=========  ==================================================================================================

==========================  =================================================================================
``run: fails NAME=value``   the run has these params, and ends failed
``only validated: reason``  the definition is not run
``settings``                the YAML is a dagbook.yaml; ``settings: NAME=value`` gives it variables
``file: NAME``              the block is written to this file, for the console blocks after it; a definition
                            is also validated, but only run if it has the mark ``run``
``terminal: NAME``          the commands are executed in a shell of their own; the last one may go on running
``prepare: commands``       what the page takes for granted there: commands that run before the block
``not run: reason``         nothing happens with the block, except for ``file``
==========================  =================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ANYTHING = "…"  # in an expected line: any text; alone in a line: any lines
INTERRUPT = "^C"  # a line of expected output: SIGINT
COMMANDS = ("console", "sh")
DEFINITION = "yaml"
_MARKS = ("prepare", "run", "only validated", "settings", "file", "terminal", "not run")
_WITH_REASON = ("only validated", "not run")
_OTHER_NAMES = {"yml": "yaml", "bash": "sh", "shell": "sh", "shell-session": "console"}
_LEAST_WORDS = 3  # of a reason
_COMMENT = re.compile(r"<!--(.*?)-->\s*", re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(\S*)")
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_NAME = rf"{_UUID}|dagbook-demo-\w{{8}}"
_ID = re.compile(_NAME)
# What differs from run to run is equal to anything of its form: ids and names of demos, times, durations, gaps between
# columns.
_FORMS = tuple(
    re.compile(form)
    for form in (
        _NAME,
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
        r"\b\d+:\d\d:\d\d(?:\.\d+)?\b",
        r"\b(?:\d+ ms|\d+(?:\.\d)? s|\d+ m \d\d s|\d+ h \d\d m|\d+ d \d\d h)\b",
        r" {2,}",
    )
)
_VARYING = re.compile("|".join(form.pattern for form in _FORMS) + f"|{ANYTHING}")


class Action(StrEnum):
    """What happens with a block."""

    RUN = "run"
    VALIDATE = "validated"
    READ = "read as settings"
    EXECUTE = "executed"
    WRITE = "written to a file"
    NONE = "not run"
    SHOW = "not typed"


class PageError(Exception):
    """A block that does not keep to the convention, with its line."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class Example(NamedTuple):
    """A block of a page, from its first line inside the fence, and its marks."""

    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def action(self) -> Action:
        """What happens with the block."""
        if "not run" in self.marks:
            return Action.WRITE if self.file else Action.NONE
        if self.language in COMMANDS and not self.file:
            return Action.EXECUTE
        if "settings" in self.marks:
            return Action.READ
        if self.language == DEFINITION:
            is_run = "run" in self.marks or not (self.file or "only validated" in self.marks)
            return Action.RUN if is_run else Action.VALIDATE
        return Action.WRITE if self.file else Action.SHOW

    @property
    def reason(self) -> str:
        """Why it is not run."""
        return next((self.marks[mark] for mark in _WITH_REASON if mark in self.marks), "")

    @property
    def file(self) -> str:
        """The file that it is written to."""
        return self.marks.get("file", "")

    @property
    def fails(self) -> bool:
        """Whether its run is meant to fail."""
        return "fails" in self.marks.get("run", "").split()

    @property
    def variables(self) -> dict[str, str]:
        """Params of its run, or variables of its settings."""
        return dict(_ASSIGNMENT.findall(self.marks.get("run", self.marks.get("settings", ""))))


class Command(NamedTuple):
    """A command of a console block, with its place in the page and the lines that it is to print."""

    line: int
    text: str
    expected: list[str]


def read_page(text: str) -> list[Example]:
    """Return the blocks of a page in their order. Raises PageError."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [_read_block(tokens, index) for index, token in enumerate(tokens) if token.type in ("fence", "code_block")]


def _read_block(tokens: Sequence[Token], index: int) -> Example:
    token = tokens[index]
    start = token.map[0] + 1 if token.map else 1
    if token.type == "code_block":
        raise PageError(start, "an indented block: write it fenced, with its language")
    words = token.info.split()
    if not words:
        raise PageError(start, "a block without a language; output, or what is not typed, is `text`")
    example = Example(start + 1, _OTHER_NAMES.get(words[0], words[0]), token.content, dict(_read_marks(tokens, index)))
    _check_marks(example, start)
    if example.action is Action.EXECUTE and example.language == "console":
        read_commands(example)
    return example


def _read_marks(tokens: Sequence[Token], index: int) -> Iterator[tuple[str, str]]:
    """Yield the marks in the comments directly before a block; comments elsewhere are those of the author."""
    first = (tokens[index].map or [0])[0]
    for token in reversed(tokens[:index]):
        if token.type != "html_block" or not token.map or token.map[1] != first:
            return
        first = token.map[0]
        for comment in _COMMENT.findall(token.content):
            name, _, value = comment.strip().partition(":")
            if name not in _MARKS:
                raise PageError(first + 1, f"an unknown mark {name!r}; there are {', '.join(_MARKS)}")
            yield name, value.strip()


def _check_marks(example: Example, line: int) -> None:
    marks, language = example.marks, example.language
    for mark in _WITH_REASON:
        if mark in marks and len(marks[mark].split()) < _LEAST_WORDS:
            raise PageError(line, f"say why, in at least {_LEAST_WORDS} words: {mark}: …")
    if language != DEFINITION and {"run", "only validated", "settings"} & set(marks):
        raise PageError(line, f"a mark of YAML blocks before a block of {language}")
    if "terminal" in marks and language not in COMMANDS:
        raise PageError(line, f"a mark of commands before a block of {language}")
    if "file" in marks:
        path = marks["file"].removeprefix("~/")
        if not path or path.startswith(("/", "~")) or ".." in path.split("/"):
            raise PageError(line, "file: name it relative to the working directory, or to the home as ~/…")
    if remainder := set(marks.get("run", "").split()) - {"fails"} - {f"{k}={v}" for k, v in example.variables.items()}:
        raise PageError(line, f"run: takes `fails` and NAME=value, not {' '.join(sorted(remainder))}")


def read_commands(example: Example) -> list[Command]:
    """Return the commands of a console block. Raises PageError."""
    commands: list[Command] = []
    for line, text in enumerate(example.text.splitlines(), example.line):
        if text.startswith("$ "):
            commands.append(Command(line, text[2:], []))
        elif not commands:
            raise PageError(line, "a console block begins with a command: `$ command`")
        elif text.startswith("> ") and not commands[-1].expected:
            last = commands[-1]
            commands[-1] = last._replace(text=f"{last.text}\n{text[2:]}")
        else:
            commands[-1].expected.append(text)
    if not commands:
        raise PageError(example.line, "a console block without a command")
    return commands


def match_line(expected: str, actual: str, ids: dict[str, str]) -> bool:
    """Compare one line. ``ids`` has the ids of this run by those of the page, and is extended when lines are equal."""
    groups: list[str] = []

    def replace(found: re.Match[str]) -> str:
        text = found[0]
        if text == ANYTHING:
            return ".*"
        if _ID.fullmatch(text):
            if text in ids:
                return re.escape(ids[text])
            groups.append(text)
            return f"({_NAME})"
        return next(form.pattern for form in _FORMS if form.fullmatch(text))

    pattern, end = "", 0
    for found in _VARYING.finditer(expected):
        pattern += re.escape(expected[end : found.start()]) + replace(found)
        end = found.end()
    matched = re.fullmatch(pattern + re.escape(expected[end:]), actual)
    if matched:
        ids.update(zip(groups, matched.groups(), strict=True))
    return matched is not None


def insert_ids(command: str, ids: dict[str, str]) -> str:
    """Replace the ids of the page in a command by those of this run."""
    return _ID.sub(lambda found: ids.get(found[0], found[0]), command)


def compare(expected: Sequence[str], actual: Sequence[str], ids: dict[str, str]) -> list[str]:
    """Return the lines of a diff, none if the output is as expected. Blanks and blank lines at an end are ignored."""
    diff, is_equal = [], True
    for theirs, ours in _align(_strip(expected), _strip(actual), ids):
        # Again, in the order of the lines, so that one id of the page is one id here.
        if theirs is not None and ours is not None and (theirs == ANYTHING or match_line(theirs, ours, ids)):
            diff.append(f"  {ours}")
        elif theirs != ANYTHING:
            is_equal = False
            diff += [f"{sign} {line}" for sign, line in (("-", theirs), ("+", ours)) if line is not None]
    return [] if is_equal else diff


def _strip(lines: Sequence[str]) -> list[str]:
    stripped = "\n".join(line.rstrip() for line in lines).rstrip("\n").splitlines()
    return [ANYTHING if line.strip() == ANYTHING else line for line in stripped]


def _align(theirs: Sequence[str], ours: Sequence[str], ids: dict[str, str]) -> Iterator[tuple[str | None, str | None]]:
    """Pair expected and actual lines so that the fewest are left alone; a line ANYTHING is paired with many."""
    rows, columns = len(theirs), len(ours)
    equal = [[line != ANYTHING and match_line(line, other, dict(ids)) for other in ours] for line in theirs]
    costs = [[0] * (columns + 1) for _ in range(rows + 1)]  # of the lines from there on
    for i in range(rows, -1, -1):
        for j in range(columns, -1, -1):
            is_gap = i < rows and theirs[i] == ANYTHING
            after = [costs[i + 1][j] + (not is_gap)] if i < rows else []
            after += [costs[i][j + 1] + (not is_gap)] if j < columns else []
            after += [costs[i + 1][j + 1]] if i < rows and j < columns and equal[i][j] else []
            costs[i][j] = min(after, default=0)
    i = j = 0
    while i < rows or j < columns:
        is_gap = i < rows and theirs[i] == ANYTHING
        if i < rows and j < columns and equal[i][j] and costs[i][j] == costs[i + 1][j + 1]:
            yield theirs[i], ours[j]
            i, j = i + 1, j + 1
        elif i < rows and costs[i][j] == costs[i + 1][j] + (not is_gap):
            yield theirs[i], None
            i += 1
        else:
            yield ANYTHING if is_gap else None, ours[j]
            j += 1
