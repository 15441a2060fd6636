"""``dagbook systemd``: the unit file of a server on this machine."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import msgspec

from dagbook.cli.commands import LocalOptions
from dagbook.cli.output import echo, notice
from dagbook.cli.settings import chosen_file, current_settings, uses_defaults, with_settings
from dagbook.db.url import sqlite_path
from dagbook.settings import TABLE, Settings
from dagbook.settings.definitions import AnySetting
from dagbook.unix.unix_accounts import account_name

TEMPLATE = Path(__file__).with_name("dagbook.service")
_STATE = Path("/var/lib")
_SERVICE_ACCOUNT = "dagbook"
_HIDDEN = ("/home", "/root", "/run/user")  # by ProtectHome
_WRITABLE = ("/tmp", "/var/tmp")  # noqa: S108 - the directories of the unit
_PLAIN = re.compile(r"[A-Za-z0-9_./:=@+,%-]+")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}\$?")


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit says of its machine: account, home, words of the command, further variables and directories.

    ``program`` are the directories that the command needs.
    """

    account: str
    home: Path
    command: Sequence[str]
    program: Sequence[Path]
    variables: Mapping[str, str] = {}
    writable: Sequence[Path] = ()

    def render(self) -> str:
        """Return the unit file."""
        changed = dict(self._changes())
        lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
        assert changed.keys() <= set(lines), "a line of the template was changed"  # noqa: S101
        return "\n".join(line for old in lines for line in changed.get(old, [old])) + "\n"

    def _changes(self) -> Iterator[tuple[str, list[str]]]:
        """Yield lines of the template, and those in their place."""
        variables = {"DAGBOOK_HOME": str(self.home), **self.variables}
        yield "User=dagbook", [f"User={self.account}"]
        yield (
            "Environment=DAGBOOK_HOME=/var/lib/dagbook",
            [f"Environment={quote(f'{name}={text}')}" for name, text in variables.items()],
        )
        has_state = self.home.parent == _STATE
        yield "StateDirectory=dagbook", [f"StateDirectory={quote(self.home.name)}"] if has_state else []
        yield "StateDirectoryMode=0700", ["StateDirectoryMode=0700"] if has_state else []
        words = " ".join(quote(word).replace("$", "$$") for word in (*self.command, "serve"))
        yield "ExecStart=/opt/dagbook/bin/dagbook serve", [f"ExecStart={words}"]
        places = [*self.writable] if has_state else [self.home, *self.writable]
        # A directory that is missing, and has no dash before it, would keep the unit from starting.
        paths = [*_WRITABLE, *(quote(f"{'' if place.exists() else '-'}{place}") for place in places)]
        yield "ReadWritePaths=/tmp /var/tmp", [f"ReadWritePaths={' '.join(paths)}"]
        if any(_is_below(place, _HIDDEN) for place in (self.home, *self.program, *places)):
            yield "ProtectHome=yes", ["# Not yes: the program or its home is there.", "ProtectHome=read-only"]


def quote(text: str) -> str:
    """Write a text as one word of a unit file. Raises ClickException for one that a line cannot contain."""
    if not text.isprintable():
        raise click.ClickException(f"{text!r} contains characters that a unit file cannot; choose another name")
    text = text.replace("%", "%%")
    return text if _PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_below(path: Path, folders: Sequence[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


@click.command(cls=LocalOptions, example="dagbook systemd --home /srv/dagbook > /etc/systemd/system/dagbook.service")
@click.option(
    "--account",
    metavar="NAME",
    help="Account of the server and its steps; by default yours, or dagbook for root.",
)
@with_settings()
def systemd(*, account: str | None) -> None:
    """Print a systemd unit that serves on this machine, hardened; lines on stderr say what it still needs.

    The home is the chosen one, or ~/.dagbook if the account is yours, else /var/lib/dagbook. Settings in its
    dagbook.yaml count, and those of the variables DAGBOOK_... of this command are lines of the unit, but for secrets.
    """
    if {"cache", ".cache"} & set(Path(sys.prefix).parts):
        raise click.ClickException(
            f"this Dagbook is in a cache, which is emptied at times: {sys.prefix}; install it first, for instance by "
            "`pipx install WHEEL` or `uv tool install WHEEL`"
        )
    own = account_name(os.getuid())
    if account is None:
        account = own if os.getuid() else _SERVICE_ACCOUNT
    if not _ACCOUNT.fullmatch(account):
        raise click.BadParameter(f"{account!r} is not the name of an account.", param_hint="--account")
    is_usual = account == own or not uses_defaults("home")
    settings = current_settings() if is_usual else current_settings(_STATE / _SERVICE_ACCOUNT)
    files = [sqlite_path(settings.database_url), settings.audit_copy, settings.socket]
    if settings.ssh_strict_host_key == "accept-new":
        files.append(settings.ssh_known_hosts or (Path.home() / ".ssh" / "known_hosts" if account == own else None))
    places = {settings.spool_dir, settings.source_dir, settings.work_dir, *(path.parent for path in files if path)}
    unit = Unit(
        account=account,
        home=settings.home,
        command=program(),
        program=(Path(sys.prefix), Path(sys.base_prefix)),
        variables=dict(_variables(settings)),
        writable=sorted(place for place in places if not _is_below(place, (str(settings.home), *_WRITABLE))),
    )
    echo(unit.render(), nl=False)
    for text in _needs(unit, settings, own):
        notice(text)


def program() -> list[str]:
    """Return the words that start this program from any directory, also where ``dagbook`` is not found by its name."""
    script = Path(sys.argv[0]).absolute()
    return [str(script)] if script.name == "dagbook" else [sys.executable, "-P", "-m", "dagbook"]


def _variables(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the variables of this process that are settings, without credentials, and the file of settings."""
    if config := chosen_file():
        yield "DAGBOOK_CONFIG", str(Path(config).expanduser().absolute())
    for setting in TABLE[1:]:
        value = getattr(settings, setting.name)
        if settings.origins[setting.name] == setting.variable and not _is_secret(setting, value):
            is_resolved = isinstance(value, Path) or setting.kind.may_contain_secret
            yield setting.variable, str(value) if is_resolved else os.environ[setting.variable]


def _is_secret(setting: AnySetting, value: object) -> bool:
    return setting.kind.is_secret or (setting.kind.may_contain_secret and setting.kind.display(value) != value)


def _needs(unit: Unit, settings: Settings, own: str) -> Iterator[str]:
    """Yield what the machine lacks for the unit."""
    home = shlex.quote(str(unit.home))
    try:
        pwd.getpwnam(unit.account)
    except KeyError:
        yield (
            f"there is no account {unit.account}: useradd --system --home-dir {home} "
            f"--shell /usr/sbin/nologin {unit.account}"
        )
    has_state = unit.home.parent == _STATE  # systemd makes such a home, and gives it to the account
    if not has_state and not unit.home.exists():
        yield f"there is no {unit.home}: install -d -m 0700 -o {unit.account} {home}"
    elif not has_state and (owner := account_name(unit.home.stat().st_uid)) != unit.account:
        yield f"{unit.home} belongs to {owner}: chown -R {unit.account} {home}"
    if unit.account != own and any(_is_below(place, _HIDDEN) for place in unit.program):
        yield f"{unit.account} may not be able to read {sys.prefix}: install Dagbook in /opt/dagbook, for instance"
    for setting in TABLE[1:]:
        is_secret = _is_secret(setting, getattr(settings, setting.name))
        if is_secret and settings.origins[setting.name].startswith(setting.variable):
            line = f"LoadCredential={setting.credential}:FILE"
            yield f"{setting.variable} is a secret, and left out: {line}, a file with it"
