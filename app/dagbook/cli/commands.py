"""Commands and groups of commands: their global options, lazy imports, and options of Dagu without effect."""

from __future__ import annotations

import gc
import io
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.decorators import FC
from click.shell_completion import CompletionItem

from dagbook.cli.output import notice, request_json
from dagbook.cli.profiles import given_options, server_options
from dagbook.settings import TABLE
from dagbook.spec.time.duration import duration_seconds

_TIME_OF_DAY = re.compile(r"[0-2]?[0-9]:[0-5][0-9]")
_HELP = frozenset({"-h", "--help"})
_MAX_SUMMARY = 1000  # characters; longer than any summary, so none is cut
JSON_ATTRIBUTES: dict[str, Any] = {
    "is_flag": True,
    "help": "Print JSON.",
    "expose_value": False,
    "callback": request_json,
}
_TRUTH = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_NO_COORDINATOR = "servers and workers meet in the database, and there is no coordinator"
_NO_PEERS = "servers and workers meet in the database; TLS is configured in database_url"


def read_secret(file: str, option: str = "--secret-file") -> str:
    """Return the secret in a file, or on standard input; it is no argument, which others of the machine can read."""
    return read_file(option, file).strip()


def read_file(option: str, file: str) -> str:
    """Return the text of a file that an option names, or of standard input; raises ClickException."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{option}: {file} cannot be read: {error}") from error


def seconds_of(option: str, text: object) -> int | None:
    """Return the seconds of an option, which may have no unit; raises UsageError."""
    seconds = None if text is None else duration_seconds(f"{text}s" if str(text).isdecimal() else str(text))
    if text is not None and (seconds is None or seconds < 0):
        raise click.UsageError(f"{option}: {text!r} is no duration; write one such as 60s or 15m")
    return None if seconds is None else int(seconds)


class EndTime(click.ParamType[datetime]):
    """A time of day, the next such time in the zone of the terminal, or a date with a time."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return read_end(value, datetime.now().astimezone())
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time; write one such as 06:00 or 2030-01-31T06:00", param, ctx)


def read_end(text: str, now: datetime) -> datetime:
    """Return the next time of day, or the time, that a text names; the zone is that of this process by default.

    Raises ValueError and OverflowError.
    """
    if not _TIME_OF_DAY.fullmatch(text):
        return datetime.fromisoformat(text).astimezone()
    found = datetime.combine(now.date(), time.fromisoformat(text.zfill(5)))
    later = found if found.astimezone() > now else found + timedelta(days=1)
    return later.astimezone()


def reason_option(*, required: bool = False) -> Callable[[FC], FC]:
    """Make the option with the reason of a pause."""
    # click takes a default, also None, for a value that was given.
    option = partial(click.option, "--reason", metavar="TEXT", help="Why; everyone sees it.")
    return option(required=True) if required else option(default="")


until_option = click.option(
    "--until", type=EndTime(), default=None, metavar="TIME", help="End: 06:00 is the next one here, or date and time."
)


class IgnoredOption(NamedTuple):
    """An option of Dagu, the explanation for its notice, and whether it takes a value."""

    names: tuple[str, ...]
    instead: str
    is_flag: bool = False

    @property
    def declarations(self) -> list[str]:
        """Parameter declarations for click: the option names, and a unique name for the value."""
        return [*self.names, "ignored_" + self.names[-1].strip("-").replace(".", "_").replace("-", "_")]

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the option for click: it prints a notice, and has no value."""

        def callback(context: click.Context, parameter: click.Parameter, value: object) -> None:
            if value not in (None, False) and not context.resilient_parsing:
                notice(f"{parameter.opts[-1]} is ignored: {self.instead}")

        return {"is_flag": self.is_flag, "hidden": True, "expose_value": False, "callback": callback}


EVERYWHERE = (
    IgnoredOption(("--dagu-home",), "Dagbook's folder is set with --home"),
    IgnoredOption(("--cpu-profile",), "there is no profile to write", is_flag=True),
)
PEER = (
    *(IgnoredOption((f"--peer.{name}",), _NO_PEERS) for name in ("cert-file", "key-file", "client-ca-file")),
    *(IgnoredOption((f"--peer.{name}",), _NO_PEERS, is_flag=True) for name in ("insecure", "skip-tls-verify")),
)
COORDINATOR = (
    IgnoredOption(("-H", "--coordinator.host"), _NO_COORDINATOR),
    IgnoredOption(("-P", "--coordinator.port"), _NO_COORDINATOR),
    IgnoredOption(("-A", "--coordinator.advertise"), _NO_COORDINATOR),
)
DAGS = (IgnoredOption(("-d", "--dags"), "DAGs are stored in the database, and no folder is read"),)
WORKER_ID = (IgnoredOption(("--worker-id",), "Dagbook knows which server or worker executes a run"),)
PARAMS = (IgnoredOption(("-p", "--params"), "a queued run has its parameters already"),)


class GlobalOptions(click.Command):
    """A command that also takes the global options, so that they may stand before or after its name.

    It works with the API, so it takes the options of a remote server, and prints JSON if that is wanted. ``example`` is
    a command line for its help.
    """

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example, and what else belongs at the end of the help."""
        if self.example:
            formatter.write(f"\nExample:\n  {self.example}\n")
        super().format_epilog(ctx, formatter)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the global ones."""
        json_flag = click.Option(["--json"], **JSON_ATTRIBUTES)
        return [*super().get_params(ctx), json_flag, *server_options(), *_home_options()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a short option may have its value after ``=``."""
        options = {
            name: option for option in self.get_params(ctx) if isinstance(option, click.Option) for name in option.opts
        }
        return super().parse_args(ctx, list(separate(args, options, mixed=ctx.allow_interspersed_args)))


class LocalOptions(GlobalOptions):
    """A command that works on this machine only, whatever server the environment names."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the global ones, without those of a remote server."""
        return [*click.Command.get_params(self, ctx), *_home_options()]

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; raises UsageError when a server was chosen before its name."""
        if given := sorted(given_options(ctx)):
            option = f"--{given[0].replace('_', '-')}"
            raise click.UsageError(f"{ctx.command_path} works on this machine only, so {option} does not apply.", ctx)
        return super().invoke(ctx)


def separate(words: Sequence[str], options: Mapping[str, click.Option], *, mixed: bool) -> Iterator[str]:
    """Split ``-p=VALUE`` into two words, because click would take ``=VALUE`` as the value; ``-q=true`` becomes ``-q``.

    Without ``mixed``, options end at the first word that is not one.
    """
    rest = deque(words)
    while rest:
        word = rest.popleft()
        if word == "--" or not (mixed or word.startswith("-")):
            yield from (word, *rest)
            return
        name, equals, value = word.partition("=")
        option = _find_option(name, options)
        if option is not None and option.is_flag and equals:
            yield from _boolean(name, value)
        elif option is not None and not option.is_flag and equals and not name.startswith("--"):
            yield from (name, value)
        else:
            yield word
            if option is not None and not equals and rest and _takes_next(option, rest[0]):
                yield rest.popleft()


def _takes_next(option: click.Option, word: str) -> bool:
    """Whether click reads the next word as the option's value: a switch needs none, but takes one as `--tls false`."""
    if option.is_flag or option.flag_value is True:
        return False
    return not (option.flag_value == "true" and word.startswith("-"))


def _find_option(name: str, options: Mapping[str, click.Option]) -> click.Option | None:
    """Return the last option in a word: ``-p`` in ``-qp``, none in ``-pA`` where ``-p`` takes a value."""
    if name.startswith("--") or not name.startswith("-"):
        return options.get(name)
    *before, last = (options.get(f"-{letter}") for letter in name[1:] or "-")
    return last if all(option is not None and option.is_flag for option in before) else None


def _boolean(name: str, value: str) -> Iterator[str]:
    match _TRUTH.get(value.lower()):
        case True:
            yield name
        case None:
            raise click.UsageError(f"Option {name!r}: {value!r} is neither true nor false.")


class Entry(NamedTuple):
    """Import target of a command below ``dagbook.cli``, as ``module:name``, and its line in the group's help.

    Without a section the help does not list it: other names of a command, and what Dagu has.
    """

    target: str
    summary: str
    section: str = ""


class CommandGroup(GlobalOptions, click.Group):
    """A group that suggests a command for a misspelled one and shows complete summaries."""

    command_class = GlobalOptions

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and (close := get_close_matches(name, self.list_commands(ctx), n=1)):
            ctx.fail(f"No such command {name!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: list[tuple[str, str]] = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            rows.append((name, "" if command is None else command.get_short_help_str(_MAX_SUMMARY)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class ListingGroup(CommandGroup):
    """A group whose command ``list`` is meant when none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not _HELP & set(args) and all(word.startswith("-") for word in args[:1]):
            args = ["list", *args]
        return super().parse_args(ctx, args)


class LocalGroup(LocalOptions, CommandGroup):
    """A group whose commands work on this machine only."""

    command_class = LocalOptions


class LazyGroup(CommandGroup):
    """A group with a table of its commands, none of which is imported for the group's own help."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in the order of the table."""
        del ctx
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in self.entries:
            return None
        module, _, name = self.entries[cmd_name].target.partition(":")
        with uncollected():
            command: click.Command = getattr(import_module(f"dagbook.cli.{module}"), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the completions of a word from the table, without imports: the shell asks at every key press."""
        named = [(name, entry) for name, entry in self.entries.items() if entry.section and name.startswith(incomplete)]
        found = [CompletionItem(name, help=entry.summary) for name, entry in named]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the summaries of the table by section, without imports."""
        del ctx
        width = max(len(name) for name, entry in self.entries.items() if entry.section)  # one column for all sections
        for section in dict.fromkeys(entry.section for entry in self.entries.values() if entry.section):
            rows = [(name, entry.summary) for name, entry in self.entries.items() if entry.section == section]
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])


def _home_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            help="Settings file, instead of dagbook.yaml in the home.",
            expose_value=False,
            callback=record_flag,
        ),
        click.Option(["--home"], metavar="DIR", help=TABLE[0].meaning, expose_value=False, callback=record_flag),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            is_eager=True,  # before another option prints something
            help="Print nothing; see the exit status.",
            expose_value=False,
            callback=_quiet,
        ),
        *(click.Option(one.declarations, **one.attributes) for one in EVERYWHERE),
    ]


class _NullStream(io.TextIOBase):
    """A stream that discards everything."""

    def write(self, text: str) -> int:
        return len(text)


def _quiet(context: click.Context, _parameter: click.Parameter, quiet: bool) -> None:
    if quiet and not context.resilient_parsing:  # a shell that completes the line reads the output
        sys.stdout = sys.stderr = _NullStream()


def flags_of(context: click.Context) -> dict[str, str]:
    """Return the settings that options gave; all nested commands share them, so an option may stand anywhere."""
    flags: dict[str, str] = context.find_root().ensure_object(dict)
    return flags


def record_flag(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Record an option that gives a setting."""
    if value is not None:
        flags_of(context)[str(parameter.name)] = value


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn garbage collection off: imported objects stay, and scanning them repeatedly takes a sixth of the time.

    What was imported is not scanned later, either.
    """
    was_on, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
        if was_on:
            gc.enable()
