"""Translation of a crontab into definitions, one for each line with a command. Pure.

A definition starts at the times of its line and runs the command in the shell of the crontab, without ``-e``, in the
home, with the variables above the line, as cron does; but no start of a schedule begins while the run before lasts.
What has no counterpart is left out, with the reason.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import msgspec
import yaml

from dagbook.identifiers import LONGEST_NAME
from dagbook.spec.reading.load import load
from dagbook.spec.time import cron
from dagbook.transfer.cron_times import NICKNAMES, translate

MAX_CHARACTERS = 262_144
_MAX_JOBS = 500
_MAX_VARIABLES = 16_384  # characters of names and values: each definition has them all
_LONGEST_DESCRIPTION, _MAX_COMMENTS, _LONGEST_COMMENT = 200, 20, 500
_VARIABLE = re.compile(r"""(["']?)([A-Za-z_][A-Za-z0-9_]*)\1[ \t]*=[ \t]*(["']?)(.*)\3""")  # quotes keep blanks
_LIKE_VARIABLE = re.compile(r"""["']?[^ \t="']+["']?[ \t]*=""")
_PATH = re.compile(r"/[A-Za-z0-9/_.+-]+")
_BLANKS = re.compile(r"[ \t]+")
_ESCAPED = re.compile(r"\\(.)|%")
_IN_INPUT = re.compile(r"\\?%")
# A table of fields, drawn or named, and a line that was commented out, describe nothing.
_HEADING = re.compile(r"[.|@]|(?:[0-9*,/-]+[ \t]+){2}|m[ \t]+h[ \t]")
_NOT_FOR_JOBS = {
    "CRON_TZ": "",
    "MAILTO": "",
    "MAILFROM": "",
    "SHELL": "",
    "RANDOM_DELAY": "starts are not delayed at random; a queue limits how many runs start at once",
    "CONTENT_TYPE": "mails of Dagbook have a type of their own",
    "CONTENT_TRANSFER_ENCODING": "mails of Dagbook have an encoding of their own",
}
_REBOOT = "nothing starts at a boot; let a unit of systemd run `dagbook enqueue NAME`"
_SHAPE = "is neither a variable nor time fields with a command"
_NO_ACCOUNT = "has no account before the command; is it the crontab of a user?"

_NO_NAME = "job"
# Programs that start another one, parts of a line that prepare the work, and programs that read a script.
_STARTERS = re.compile("env|nice|ionice|timeout|flock|sudo|chronic|nohup|exec|time|command|setsid|chrt")
_PREPARING = re.compile(r"cd|test|\[\[?|export|set|\.|source|umask|sleep|true|:|if|then|echo|date")
_INTERPRETERS = frozenset(
    ("sh", "bash", "dash", "zsh", "ksh", "python", "perl", "ruby", "php", "node", "java", "Rscript", "pwsh")
)
_PARTS = re.compile(r"&&|\|\||[;|&\n]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_AMOUNT = re.compile(r"[0-9.]+[smhd]?")
_ENDING = re.compile(r"\.(?:sh|bash|py|pl|rb|php|js|jar|R)$")
_WITH_VALUE = frozenset(("-u", "-g"))
_OTHER = re.compile(r"[^A-Za-z0-9_.-]+")


class CronDag(msgspec.Struct, frozen=True, kw_only=True):
    """The definition that a line became."""

    name: str
    line: int
    spec: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A line, or a part of its meaning, that was not translated."""

    line: int
    text: str
    reason: str


class Crontab(msgspec.Struct, frozen=True):
    """What a crontab became."""

    dags: list[CronDag]
    left_out: list[LeftOut]


def read_crontab(text: str, *, is_system: bool = False) -> Crontab:
    """Translate the crontab of a user, or one of the system, which has an account before each command.

    Raises ValueError if it is larger than ``MAX_CHARACTERS``.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"has more than {MAX_CHARACTERS:,} characters, the limit of a crontab")
    reader = _Reader(is_system=is_system)
    for number, line in enumerate(text.split("\n"), 1):
        reader.read(number, line.strip(" \t\r"))
    return Crontab(reader.dags, reader.left_out)


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    """A line with a command, and what stands above it."""

    expression: str
    account: str
    command: str
    stdin: str
    variables: dict[str, str]
    description: str


class _Reader:
    """Reads line by line: variables and comments count for the lines below them."""

    def __init__(self, *, is_system: bool) -> None:
        self.dags: list[CronDag] = []
        self.left_out: list[LeftOut] = []
        self._is_system = is_system
        self._names: set[str] = set()
        self._variables: dict[str, str] = {}
        self._comments: list[str] = []

    def read(self, number: int, line: str) -> None:
        """Read a line without the blanks around it."""
        if line.startswith("#"):
            self._comments = [*self._comments[-_MAX_COMMENTS:], line.lstrip("#").strip()[:_LONGEST_COMMENT]]
            return
        if line:
            try:
                if variable := _VARIABLE.fullmatch(line):
                    self._set(variable[2], variable[4])
                else:
                    self._add(number, line)
            except ValueError as error:
                self.left_out.append(LeftOut(line=number, text=line, reason=str(error)))
        self._comments = []

    def _set(self, name: str, value: str) -> None:
        self._variables.pop(name, None)
        if reason := _NOT_FOR_JOBS.get(name):
            raise ValueError(f"{name} has no counterpart: {reason}")
        if "$" in value or "`" in value:
            raise ValueError(f"cron does not evaluate the value of {name}, and a definition would; write it out in env")
        if name == "SHELL" and not _PATH.fullmatch(value):
            raise ValueError("SHELL is not the path of a shell")
        if sum(map(len, (name, value, *self._variables, *self._variables.values()))) > _MAX_VARIABLES:
            raise ValueError(f"the variables have more than {_MAX_VARIABLES:,} characters together")
        self._variables[name] = value

    def _add(self, number: int, line: str) -> None:
        job = _read_job(line, self._variables, _describe(self._comments), is_system=self._is_system)
        if len(self.dags) >= _MAX_JOBS:
            raise ValueError(f"a crontab may have {_MAX_JOBS:,} commands")
        name = self._unique_name(job.command)
        spec = _write(name, line, job)
        if problems := load(spec, name=name).problems:
            raise ValueError(f"no definition can have this: {problems[0].message}")
        self._names.add(name)
        self.dags.append(CronDag(name=name, line=number, spec=spec))

    def _unique_name(self, command: str) -> str:
        base, number = name_of(command), 1
        name = base
        while name in self._names:
            number += 1
            ending = f"-{number}"
            name = base[: LONGEST_NAME - len(ending)] + ending
        return name


def _read_job(line: str, variables: dict[str, str], description: str, *, is_system: bool) -> _Job:
    count = 1 if line.startswith("@") else 5
    parts = _BLANKS.split(line.removeprefix("-"), maxsplit=count + is_system)  # a minus keeps cron from logging it
    if len(parts) <= count:
        raise ValueError(_SHAPE if not _LIKE_VARIABLE.match(line) else "is not the name of a variable of programs")
    if len(parts) <= count + is_system:
        raise ValueError(_NO_ACCOUNT)
    expression = _read_nickname(parts[0]) if count == 1 else translate(parts[:count])
    if zone := variables.get("CRON_TZ"):
        expression = f"CRON_TZ={zone} {expression}"
    cron.parse(expression)
    command, stdin = _split_at_percent(parts[-1])
    if not command.strip():
        raise ValueError("has no command")
    account = parts[count] if is_system else ""
    return _Job(
        expression=expression,
        account=account,
        command=command.strip(" \t"),
        stdin=stdin,
        variables=dict(variables),
        description=description,
    )


def _read_nickname(word: str) -> str:
    if word.lower() == "@reboot":
        raise ValueError(_REBOOT)
    if word.lower() not in NICKNAMES:
        raise ValueError(f"{word} is no time that is known; write five fields")
    return NICKNAMES[word.lower()]


def _split_at_percent(text: str) -> tuple[str, str]:
    r"""Return command and standard input: the first ``%`` ends the command, others end lines; ``\%`` is a ``%``."""
    end = next((match.start() for match in _ESCAPED.finditer(text) if match[0] == "%"), len(text))
    command, stdin = text[:end], text[end + 1 :]
    command = _ESCAPED.sub(lambda match: "%" if match[1] == "%" else match[0], command)
    stdin = _IN_INPUT.sub(lambda match: "\n" if match[0] == "%" else "%", stdin)
    return command, stdin


def _describe(comments: Sequence[str]) -> str:
    """Return the last paragraph of the comments above a line; empty for a heading of the table."""
    start = max((at + 1 for at, comment in enumerate(comments) if not comment), default=0)
    paragraph = comments[start:]
    if any(map(_HEADING.match, paragraph)):
        return ""
    return " ".join(filter(None, (comment.strip("-=*# \t") for comment in paragraph)))[:_LONGEST_DESCRIPTION]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as lines."""

    def represent_lines(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_lines)


def _write(name: str, line: str, job: _Job) -> str:
    """Return the text of the definition, with the line as a comment."""
    fields: dict[str, object] = {"name": name}
    if job.description:
        fields["description"] = job.description
    fields |= {"schedule": job.expression, "workingDir": job.variables.get("HOME") or "${HOME}"}
    if env := [{key: value} for key, value in job.variables.items() if key not in _NOT_FOR_JOBS]:
        fields["env"] = env
    fields["steps"] = [{"name": "main", "shell": job.variables.get("SHELL", "/bin/sh"), **_write_command(job)}]
    if to := [address.strip() for address in job.variables.get("MAILTO", "").split(",") if address.strip()]:
        sender = job.variables.get("MAILFROM")
        fields["mailOn"] = {"failure": True}
        fields["errorMail"] = {**({"from": sender} if sender else {}), "to": to if len(to) > 1 else to[0]}
    text = yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    shown = line.replace("\t", " ")
    head = f"# crontab: {shown}\n" if shown.isprintable() else ""
    if job.account and job.account.isprintable():
        head += f"# cron runs it as {job.account}: `dagbook dag run-as {name} {job.account}`\n"
    return f"{head}{text}"


def _write_command(job: _Job) -> dict[str, str]:
    if job.stdin:
        end = "END"
        while end in job.stdin.split("\n"):
            end += "_"
        body = job.stdin if job.stdin.endswith("\n") else f"{job.stdin}\n"
        return {"script": f"{{ {job.command}\n}} <<'{end}'\n{body}{end}\n"}
    # A definition evaluates backticks in a command, and none in a script.
    return {"script" if "`" in job.command else "command": job.command}


def name_of(command: str) -> str:
    """Return a name for the DAG of a command; ``job`` if no word of it is one."""
    parts = [found for part in _PARTS.split(command) if (found := _program_of(part))]
    word = parts[0] if parts else command.split(maxsplit=1)[0]
    name = _OTHER.sub("-", _ENDING.sub("", word)).strip("-.")[:LONGEST_NAME]
    return name.removesuffix(".yaml").removesuffix(".yml").strip("-.") or _NO_NAME


def _program_of(part: str) -> str:
    """Return the name of the program that a part of a line runs; empty if it only prepares something."""
    skips, interpreter = False, ""
    try:
        words = shlex.split(part)
    except ValueError:  # of a quoted text with an && in it, for instance
        words = part.split()
    for word in words:
        text = word.strip("\"'(){}!`$")
        base = text.rpartition("/")[2]
        if text.startswith("-"):
            skips = skips or (text in _WITH_VALUE and not interpreter)
        elif not base or _AMOUNT.fullmatch(text) or _ASSIGNMENT.match(text) or text.startswith((">", "<")):
            continue
        elif skips:
            skips = False
        elif _PREPARING.fullmatch(base):
            return ""
        elif _STARTERS.fullmatch(base):
            skips = base == "flock"
        elif base.rstrip("0123456789.") in _INTERPRETERS:
            interpreter = base
        else:
            return base
    return interpreter
