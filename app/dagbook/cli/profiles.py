"""Servers that commands work with: ``--server``, ``--token``, and profiles in a file that only this user can read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from dagbook.identifiers import API_PATH, is_name, shorten
from dagbook.unix.files import make_private_folder, open_privately

LOCAL = "local"  # the profile that stands for this machine's own database
TOKEN_VARIABLE = "DAGBOOK_TOKEN"  # noqa: S105 - a name
_MAX_BYTES = 1024 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TOKEN = re.compile(r"[!-~]{1,8192}")
_META = "dagbook.servers"  # in the context: what the options gave
_CHOSEN = "dagbook.servers.chosen"


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Address and token of a server; ``ca_file`` has the certificate authority that its certificate is checked with.

    ``token_id`` is the id of a token that ``dagbook login`` has created, so that a logout can revoke it.
    """

    server: str
    token: str = ""
    token_id: str = ""
    ca_file: str = ""


class Profiles(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The file of profiles; ``default`` names the one that counts when a command names none."""

    default: str = ""
    profiles: dict[str, Profile] = {}


class RemoteServer(msgspec.Struct, frozen=True, kw_only=True):
    """The server that a command works with, instead of this machine's database."""

    url: str
    token: str = ""
    ca_file: str = ""


def profiles_path() -> Path:
    """Return the path of the file of profiles, in the folder for configuration of this user."""
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "dagbook" / "profiles.yaml"


def read_profiles() -> Profiles:
    """Read the file of profiles, empty if there is none; raises ClickException.

    A file that other users can read is refused: they may have the tokens in it.
    """
    path = profiles_path()
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from error
    if status.st_mode & _OTHERS:
        raise click.ClickException(
            f"{path} contains tokens, and other users of this machine can read or change it; `chmod 600 {path}` ends "
            "that, and tokens that others may have read should be revoked"
        )
    try:
        return msgspec.yaml.decode(text[:_MAX_BYTES], type=Profiles) if text.strip() else Profiles()
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise click.ClickException(f"{path} is not a file of profiles: {reason}") from error


def write_profiles(found: Profiles) -> None:
    """Replace the file of profiles, with mode 0600; raises OSError."""
    path = profiles_path()
    make_private_folder(path.parent)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        with open(fresh, "xb", opener=open_privately) as file:
            file.write(msgspec.yaml.encode(found))
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def clean_address(text: str) -> str:
    """Return the address of a server without a slash at its end and without the path of the API.

    ``https://`` is added where no scheme is given, ``http://`` for this machine. Raises ClickException.
    """
    bare = text.strip()
    if "://" not in bare:
        host = urlsplit(f"//{bare}").hostname or ""
        bare = f"{'http' if is_loopback(host) else 'https'}://{bare}"
    try:
        parts = urlsplit(bare)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_complete = False
    if not is_complete or parts.query or parts.fragment or parts.username is not None or not bare.isprintable():
        raise click.ClickException(
            f"{shorten(text)} is not the address of a server; write one such as https://dags.example.org"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix(API_PATH).rstrip('/')}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_token(text: str) -> bool:
    """Whether a text can be sent as a token: printable ASCII without spaces."""
    return _TOKEN.fullmatch(text) is not None


def server_options() -> list[click.Parameter]:
    """Return the options that choose a server."""

    def record(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            given_options(context)[str(parameter.name)] = value

    given: list[tuple[str, str, str]] = [
        ("--server", "URL", "Server to work with, instead of this machine's database [DAGBOOK_SERVER]."),
        ("--token", "TOKEN", "Its token, which other users see in the list of processes; rather use [DAGBOOK_TOKEN]."),
        ("--token-file", "FILE", "File with its token [DAGBOOK_TOKEN_FILE]."),
        ("--profile", "NAME", "Server and token saved by `dagbook login`; 'local': none [DAGBOOK_PROFILE]."),
    ]
    return [
        click.Option([name], metavar=metavar, help=text, expose_value=False, callback=record)
        for name, metavar, text in given
    ]


def given_options(context: click.Context) -> dict[str, str]:
    """Return what the options of this command line gave, by name; all nested commands share it."""
    options: dict[str, str] = context.meta.setdefault(_META, {})
    return options


def chosen_server() -> RemoteServer | None:
    """Return the server that the command works with, None for this machine's own database; raises ClickException.

    Options count first, then variables, then the default profile.
    """
    context = click.get_current_context()
    if _CHOSEN not in context.meta:
        context.meta[_CHOSEN] = choose(given_options(context), os.environ)
    chosen: RemoteServer | None = context.meta[_CHOSEN]
    return chosen


def choose(options: Mapping[str, str], environ: Mapping[str, str]) -> RemoteServer | None:
    """Choose the server from options, variables and profiles; raises ClickException.

    The token of a profile is sent to the server of this profile only, and the variable's never in its place.
    """
    if "server" in options and "profile" in options:
        raise click.UsageError("--server and --profile exclude each other; give one of them")
    given = _read_token(options.get("token", ""), options.get("token_file", ""), "--token", "--token-file")
    variables = _read_token(
        environ.get(TOKEN_VARIABLE, ""), environ.get(f"{TOKEN_VARIABLE}_FILE", ""), TOKEN_VARIABLE, "its _FILE"
    )
    server, name = options.get("server", ""), options.get("profile", "")
    if not server and not name:
        server, name = environ.get("DAGBOOK_SERVER", ""), environ.get("DAGBOOK_PROFILE", "")
        if server and name:
            raise click.ClickException("DAGBOOK_SERVER and DAGBOOK_PROFILE exclude each other; set one of them")
    saved = read_profiles()
    if server:
        url = clean_address(server)
        same = next((each for each in saved.profiles.values() if each.server == url), Profile(server=url))
        return RemoteServer(url=url, token=given or variables or same.token, ca_file=same.ca_file)
    name = name or saved.default
    if name in ("", LOCAL):
        if given:
            raise click.UsageError("--token is for a server; give --server URL, or --profile NAME")
        return None
    if name not in saved.profiles:
        known = ", ".join(sorted(saved.profiles))
        hint = f"there are {known}" if known else "`dagbook login URL` saves one"
        raise click.ClickException(f"there is no profile {shorten(name)} in {profiles_path()}; {hint}")
    profile = saved.profiles[name]
    return RemoteServer(url=clean_address(profile.server), token=given or profile.token, ca_file=profile.ca_file)


def _read_token(token: str, file: str, name: str, file_name: str) -> str:
    """Return a token given as such or in a file, empty for neither; raises ClickException."""
    if token and file:
        raise click.ClickException(f"{name} and {file_name} exclude each other; give one of them")
    if file:
        try:
            token = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            raise click.ClickException(f"{file}: {reason}") from error
    if (token or file) and not is_token(token):
        raise click.ClickException(f"{file or name} is not a token: a token is one word of printable characters")
    return token


def check_profile_name(name: str) -> None:
    """Raise ClickException when a profile cannot have the name."""
    if not is_name(name) or name == LOCAL:
        raise click.ClickException(f"{shorten(name)} cannot be the name of a profile; use letters, digits, - and _")


def profile_name(url: str) -> str:
    """Return the usual name of the profile of a server: its host."""
    host = urlsplit(url).hostname or ""
    return re.sub(r"[^A-Za-z0-9._-]", "-", host)[:40] or "server"


def save_profile(name: str, profile: Profile, *, is_default: bool) -> None:
    """Save a profile, and make it the default; raises ClickException and OSError."""
    check_profile_name(name)
    saved = read_profiles()
    default = name if is_default else saved.default
    write_profiles(Profiles(default=default, profiles=saved.profiles | {name: profile}))


def remove_profile(name: str) -> None:
    """Remove a profile; raises ClickException and OSError."""
    saved = read_profiles()
    rest = {key: profile for key, profile in saved.profiles.items() if key != name}
    write_profiles(Profiles(default="" if saved.default == name else saved.default, profiles=rest))
