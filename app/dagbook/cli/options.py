"""Options and parameters of several commands, the settings that they give, and options of Dagu without effect."""

from __future__ import annotations

import io
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.shell_completion import CompletionItem

from dagbook.cli.servers import TOKEN_VARIABLE, chosen_server, given_options, server_options
from dagbook.cli.terminal import echo
from dagbook.settings import TABLE, Settings, read
from dagbook.settings.dagu import find_ignored
from dagbook.settings.definitions import FILE_NAME, REMOVED, Setting, flag_of
from dagbook.unix.privacy import wipe_variables

if TYPE_CHECKING:
    from dagbook.spec.model import Pair

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_SETTINGS = "dagbook.settings"
_JSON = "dagbook.json"
_SHORT_FLAGS = {"host": "-s", "port": "-p"}
_TRUTH = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class GlobalOptions(click.Command):
    """A command that also takes the global options, so that they may stand before or after its name.

    It works with the API, so it takes the options of a far server, and prints JSON if that is wanted. ``example`` is a
    command line for its help.
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
        json_flag = click.Option(["--json"], is_flag=True, help=_JSON_HELP, expose_value=False, callback=_record_json)
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
        """Return the command's own parameters and the global ones, without those of a far server."""
        return [*click.Command.get_params(self, ctx), *_home_options()]

    def invoke(self, ctx: click.Context) -> Any:
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


def settings_options(*names: str) -> Callable[[_Decorated], _Decorated]:
    """Give a command one option per setting, named as in the table; ``current_settings`` reads them.

    A command that takes ``database_url`` also takes ``database_schema``. Options of removed settings are hidden.
    """
    included = {*names, "database_schema"} if "database_url" in names else set(names)
    chosen = [setting for setting in TABLE if setting.name in included and not setting.kind.is_secret]

    def decorate(function: _Decorated) -> _Decorated:
        for setting in reversed(chosen):
            function = _settings_option(setting)(function)
        for name in REMOVED.keys() & included:
            removed = click.option(flag_of(name), name, hidden=True, expose_value=False, callback=_record_flag)
            function = removed(function)
        return function

    return decorate


def uses_defaults(*names: str) -> bool:
    """Whether the command that is running, its variables and the file given by ``--config`` leave these settings out.

    The file in the usual home is not read. Raises ``SettingsError``.
    """
    settings = read(_flags(click.get_current_context()), os.environ, Path(os.devnull))
    return all(settings.origins[name] == "default" for name in names)


def current_settings(home: Path = Path("~/.dagbook")) -> Settings:
    """Read the settings of the command that is running, once. Raises ``SettingsError``.

    ``home`` is the one without another choice. When the command owns its process, the variables with credentials are
    then gone.
    """
    context = click.get_current_context()
    meta = context.meta  # shared by all nested commands
    if _SETTINGS not in meta:
        meta[_SETTINGS] = read(_flags(context), os.environ, home)
        if not isinstance(context.command, LocalOptions):
            chosen_server()  # reads its token, which is gone from the environment as well
        if context.obj:
            wipe_variables(meta[_SETTINGS].credential_variables | {TOKEN_VARIABLE})
    settings: Settings = meta[_SETTINGS]
    return settings


def chosen_file() -> str:
    """Return the settings file that is given to the command that is running, empty for the one in the home."""
    return _flags(click.get_current_context()).get("config") or os.environ.get("DAGBOOK_CONFIG", "")


def warn_about_unused(settings: Settings) -> None:
    """Print one notice about removed settings, and about configuration of Dagu that has no effect."""
    has_own_file = bool(chosen_file()) or (settings.home / FILE_NAME).exists()
    if unread := [*settings.notices, *find_ignored(settings, os.environ, has_own_file=has_own_file)]:
        notice("; ".join(unread))


def _settings_option(setting: Setting[Any]) -> Callable[[_Decorated], _Decorated]:
    names = [name for name in (_SHORT_FLAGS.get(setting.name), setting.flag) if name]
    text = f"{setting.meaning} [{setting.kind.name}; default: {setting.default or 'empty'}; {setting.variable}]"
    optional: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if setting.kind.is_switch else {}
    return click.option(
        *names, setting.name, metavar="VALUE", help=text, expose_value=False, callback=_record_flag, **optional
    )


def _flags(context: click.Context) -> dict[str, str]:
    # One dict shared by all nested commands: an option counts wherever on the line it stands.
    flags: dict[str, str] = context.find_root().ensure_object(dict)
    return flags


def _record_flag(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        _flags(context)[str(parameter.name)] = value


def wants_json() -> bool:
    """Whether the command that is running prints JSON instead of text."""
    return bool(click.get_current_context().meta.get(_JSON))


def json_option(function: _Decorated) -> _Decorated:
    """Let a command of this machine print JSON."""
    return click.option("--json", is_flag=True, help=_JSON_HELP, expose_value=False, callback=_record_json)(function)


_JSON_HELP = "Print JSON."


def _record_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.meta[_JSON] = True


def _home_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            help="Settings file, instead of dagbook.yaml in the home.",
            expose_value=False,
            callback=_record_flag,
        ),
        click.Option(["--home"], metavar="DIR", help=TABLE[0].meaning, expose_value=False, callback=_record_flag),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            is_eager=True,  # before another option prints something
            help="Print nothing; see the exit status.",
            expose_value=False,
            callback=_quiet,
        ),
        *(click.Option(one.declarations, **_attributes(one)) for one in EVERYWHERE),
    ]


def complete_files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete file names."""
    return [CompletionItem(incomplete, type="file")]


class _NullStream(io.TextIOBase):
    """A stream that discards everything."""

    def write(self, text: str) -> int:
        return len(text)


def _quiet(context: click.Context, _parameter: click.Parameter, quiet: bool) -> None:
    if quiet and not context.resilient_parsing:  # a shell that completes the line reads the output
        sys.stdout = sys.stderr = _NullStream()


# A name contains no quote: in JSON an equals sign may stand inside a string.
_NAMED = re.compile(r'\s*([^\s="]+)=')
# Parts separated by blanks; a part that contains blanks is quoted.
_PARTS = re.compile(r'(?:\s*(?:(?:[^\s="]+=)?"(?:\\"|[^"\\]|\\(?!"))*"|[^\s"]+)(?=\s|$))+\s*')


def params_text(params: str, words: Sequence[str]) -> str:
    """Return the parameter text of the words after ``--``; without any, that of ``--params``."""
    if not words:
        return params
    if params:
        notice("--params is ignored: parameters are also given after --")
    # Not above: it brings the library for JSON Schema, which most commands never need.
    from dagbook.spec.params.param_text import render  # noqa: PLC0415

    pairs: list[Pair] = []
    for word in words:
        pairs += _read_word(word, len(pairs) + 1)
    try:
        return render(pairs)  # as JSON, because NAME="value" cannot express a backslash before a quote
    except UnicodeEncodeError as error:
        raise click.UsageError("A parameter is not UTF-8 text.") from error


def _read_word(word: str, number: int) -> Iterable[Pair]:
    """Parse a word as a parameter text, except ``NAME=a value``, whose quotes the shell has removed."""
    # Not above: it brings the library for JSON Schema, which most commands never need.
    from dagbook.spec.model import Pair  # noqa: PLC0415
    from dagbook.spec.params.param_text import tokenise  # noqa: PLC0415

    pairs = tokenise(word, start=number)
    named = _NAMED.match(word)
    if named is None:
        return pairs
    names = sum(pair.name != str(at) for at, pair in enumerate(pairs, number))
    is_text = names > 1 or word.startswith('"', named.end())
    return pairs if is_text and _PARTS.fullmatch(word) else [Pair(named[1], word[named.end() :])]


_NO_COORDINATOR = "servers and workers meet in the database, and there is no coordinator"
_NO_PEERS = "servers and workers meet in the database; TLS is configured in database_url"


class IgnoredOption(NamedTuple):
    """An option of Dagu, the explanation for its notice, and whether it takes a value."""

    names: tuple[str, ...]
    instead: str
    is_flag: bool = False

    @property
    def declarations(self) -> list[str]:
        """Parameter declarations for click: the option names, and a unique name for the value."""
        return [*self.names, "ignored_" + self.names[-1].strip("-").replace(".", "_").replace("-", "_")]


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


def ignored_options(*ignored: IgnoredOption) -> Callable[[_Decorated], _Decorated]:
    """Let a command accept options of Dagu that have no effect."""

    def decorate(function: _Decorated) -> _Decorated:
        for one in ignored:
            function = click.option(*one.declarations, **_attributes(one))(function)
        return function

    return decorate


def notice(text: str) -> None:
    """Print a notice on stderr; ``--quiet`` silences it."""
    echo(f"Notice: {text}", err=True)


def _attributes(ignored: IgnoredOption) -> dict[str, Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value not in (None, False) and not context.resilient_parsing:
            notice(f"{parameter.opts[-1]} is ignored: {ignored.instead}")

    return {"is_flag": ignored.is_flag, "hidden": True, "expose_value": False, "callback": callback}


def warn_of_evaluation(settings: Settings) -> None:
    """Warn of a setting that makes commands of what callers send; a worker does so as well."""
    if settings.evaluate_caller_values:
        risk = "EVERYONE who may start a run can run commands as this user: evaluate_caller_values is true"
        echo(f"Warning: {risk}", fg="red", bold=True, err=True)
