"""The options of an archive step, from its command and its config, and the patterns in them (DAG format 4.9)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from dagbook.executors.config import Config
from dagbook.executors.contract import Command, Job, SetupError
from dagbook.executors.subprocess_executor import python_command

CREATE, EXTRACT, LIST = "create", "extract", "list"
_OPERATIONS = (EXTRACT, CREATE, LIST)
_BEST_LEVEL = 9
_TOKEN = re.compile(
    r"""(?P<folders>(?:^|(?<=[/{,]))\*\*/)
      | (?P<below>/\*\*(?=$|[,}]))
      | (?P<everything>^\*\*$)
      | (?P<set>\[(?P<not>[!^])?(?P<members>(?:\\.|[^\]\\])+)\])
      | \\(?P<escaped>.)
      | (?P<star>\*+)
      | .""",
    re.DOTALL | re.VERBOSE,
)
_SPECIAL_IN_SET = re.compile(r"\\.|[\[&~|]", re.DOTALL)
_PLAIN = {"?": "[^/]"}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """An operation on an archive; an empty ``format`` is detected, a negative ``level`` is the format's default."""

    operation: str
    source: str
    destination: str
    format: str
    level: int
    password: str
    overwrite: bool
    preserve_paths: bool
    strip: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    dry_run: bool
    verbose: bool
    follow_links: bool
    verify: bool
    keep_going: bool

    def filter(self) -> Filter:
        """Make the filter for the names of entries."""
        return Filter(self.include, self.exclude)


def read(job: Job) -> Options:
    """Read the options of a job. Raises SetupError."""
    config = Config(job.config, "archive")
    operation = job.program.lower()
    if operation not in _OPERATIONS:
        raise SetupError(f"archive: the command has to be one of {', '.join(_OPERATIONS)}; it is {job.program!r}")
    options = Options(
        operation=operation,
        source=config.required("source", "name the archive, or for create what goes into it"),
        destination=_destination(config, operation),
        format=config.text("format").strip().lower().removeprefix("."),
        level=config.integer("compressionLevel", least=-1, most=_BEST_LEVEL),
        password=config.text("password"),
        overwrite=config.flag("overwrite"),
        preserve_paths=config.flag("preservePaths"),
        strip=config.integer("stripComponents", least=0),
        include=config.texts("include"),
        exclude=config.texts("exclude"),
        dry_run=config.flag("dryRun"),
        verbose=config.flag("verbose"),
        follow_links=config.flag("followSymlinks"),
        verify=config.flag("verifyIntegrity"),
        keep_going=config.flag("continueOnError"),
    )
    _check(options, config)
    return options


def _destination(config: Config, operation: str) -> str:
    if operation == CREATE and not config.flag("dryRun"):
        return config.required("destination", "name the archive to create")
    found = config.text("destination").strip()
    return found or ("." if operation == EXTRACT else "")


def _check(options: Options, config: Config) -> None:
    if options.password and options.operation == CREATE:
        raise config.error("password", "archives cannot be created with a password; leave it out")
    for key, patterns in (("include", options.include), ("exclude", options.exclude)):
        try:
            Filter(patterns, ())
        except ValueError as error:
            raise config.error(key, str(error)) from None


class Filter:
    """Selects entries that match an ``include``, or all when there is none, and no ``exclude``."""

    def __init__(self, include: Iterable[str], exclude: Iterable[str]) -> None:
        """Compile the patterns. Raises ValueError for one that is not well-formed."""
        self._include = [compile_pattern(text) for text in include]
        self._exclude = [compile_pattern(text) for text in exclude]

    def matches(self, path: str) -> bool:
        """Whether the entry at this path is selected."""
        if any(pattern.fullmatch(path) for pattern in self._exclude):
            return False
        return not self._include or any(pattern.fullmatch(path) for pattern in self._include)


def compile_pattern(text: str) -> re.Pattern[str]:
    """Turn a pattern into a regular expression for a complete path. Raises ValueError.

    ``*`` stays within a folder, ``**`` stands for any number of folders.
    """
    pieces: list[str] = []
    depth = 0
    for found in _TOKEN.finditer(text):
        piece = found[0]
        depth += {"{": 1, "}": -1}.get(piece, 0)
        if piece == "[" or depth < 0:
            raise ValueError(f"the pattern {text!r} has a bracket without its other half")
        pieces.append(_translate(found, in_braces=depth > 0))
    if depth:
        raise ValueError(f"the pattern {text!r} has a bracket without its other half")
    try:
        return re.compile("".join(pieces), re.DOTALL)
    except re.error as error:
        raise ValueError(f"the pattern {text!r} is not well-formed: {error}") from None


def _translate(found: re.Match[str], *, in_braces: bool) -> str:
    if found["set"]:
        members = _SPECIAL_IN_SET.sub(lambda special: re.escape(special[0][-1]), found["members"])
        return f"[^/{members}]" if found["not"] else f"[{members}]"
    if found["escaped"]:
        return re.escape(found["escaped"])
    kinds = {"folders": "(?:.*/)?", "below": "(?:/.*)?", "everything": ".*", "star": "[^/]*"}
    for kind, expression in kinds.items():
        if found[kind]:
            return expression
    braces = {"{": "(?:", "}": ")", **({",": "|"} if in_braces else {})}
    return braces.get(found[0]) or _PLAIN.get(found[0]) or re.escape(found[0])


def command(job: Job) -> Command:
    """Make the command for an operation on an archive. Raises SetupError."""
    read(job)
    return python_command("dagbook.executors.archive.program", job)
