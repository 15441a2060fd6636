"""The setting ``secret_commands``: programs of the server that print the values of secrets, by provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import msgspec

from dagbook.json_values import Json
from dagbook.settings.readers import HIDDEN, Displayed, Hidden, Raw, read_words, text_of
from dagbook.settings.records import Reader, read_keys, read_named, read_secret

PLACEHOLDER = "{key}"  # in the arguments
OWN_PROVIDERS = ("env", "file", "vault")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[A-Za-z0-9_./:@+=-]+")
_Map = dict[str, Json]
_EXAMPLE = '{"op": ["op", "read", "op://{key}"]}'


class SecretCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A provider: what it runs, the keys that it may be asked for, by which DAGs, and its own variables."""

    name: str
    argv: tuple[str, ...]
    keys: tuple[str, ...] = ("*",)
    dags: tuple[str, ...] = ("*",)
    env: Mapping[str, Hidden] = {}

    def refusal_of_key(self, key: str) -> str:
        """Return why the command is not run for a key; empty if it may be."""
        if not _KEY.fullmatch(key) or key.startswith("-") or ".." in key.split("/"):
            return "has other characters than letters, digits and _./:@+=-, begins with -, or has a part '..'"
        if not any(fnmatchcase(key, pattern) for pattern in self.keys):
            return f"fits none of the keys that the setting secret_commands allows {self.name!r}"
        return ""

    @property
    def is_for_all(self) -> bool:
        """Whether every DAG may ask."""
        return "*" in self.dags

    def may_ask(self, dag: str) -> bool:
        """Whether a stored DAG may ask."""
        return any(fnmatchcase(dag, pattern) for pattern in self.dags)

    def arguments(self, key: str) -> list[str]:
        """Return what is run for a key, which stays within its argument."""
        return [argument.replace(PLACEHOLDER, key) for argument in self.argv]


def read(raw: Raw, folder: Path) -> tuple[SecretCommand, ...]:
    """Read a map of names, each with a map, or with a list that is its ``argv``; or a list of maps with names."""
    try:
        given = msgspec.json.decode(text_of(raw) or "{}", type=dict[str, list[str] | dict[str, Json]] | list[_Map])
    except (ValueError, msgspec.DecodeError):
        hidden = f"{HIDDEN} stands for what is not shown; write the secret itself, in " if raw == HIDDEN else "write "
        raise ValueError(f"{hidden}a map of names and commands such as {_EXAMPLE}") from None
    if isinstance(given, dict):
        maps = {name: {"argv": one} if isinstance(one, list) else one for name, one in given.items()}
        given = [{**one, "name": name} for name, one in maps.items()]
    text = msgspec.json.encode(given).decode()
    return read_named(text, "command", _EXAMPLE, partial(_command, folder=folder), is_shown=str.isprintable)


def _command(entry: Mapping[str, Raw], folder: Path) -> SecretCommand:
    readers: dict[str, Reader] = {
        "name": _read_name,
        "argv": _read_argv,
        **dict.fromkeys(("keys", "dags"), read_words),
        "env": _read_variables,
    }
    return SecretCommand(**read_keys(entry, readers, folder, "command", needed=("argv",)))


def _read_name(raw: Raw, _folder: Path) -> str:
    name = text_of(raw)
    if not _NAME.fullmatch(name) or name in OWN_PROVIDERS:
        raise ValueError(
            f"{name!r} cannot name a command; write letters, digits, - and _, and none of {', '.join(OWN_PROVIDERS)}"
        )
    return name


def _read_argv(raw: Raw, _folder: Path) -> tuple[str, ...]:
    if isinstance(raw, str) or not raw or not raw[0]:
        raise ValueError("write the program and its arguments as a list; there is no shell")
    if PLACEHOLDER in raw[0] or any("\0" in argument for argument in raw):
        raise ValueError(f"the program itself cannot contain {PLACEHOLDER}, and no argument a NUL character")
    return tuple(raw)


def _read_variables(raw: Raw, _folder: Path) -> dict[str, Hidden]:
    items = [] if isinstance(raw, str) else [item.partition("=") for item in raw]
    if isinstance(raw, str) or not all(_VARIABLE.fullmatch(name) for name, _, _ in items):
        raise ValueError("write a map of variables and their values")
    return {name: read_secret(value) for name, _, value in items}


def display(commands: tuple[SecretCommand, ...]) -> Displayed:
    """Return a list of maps with names, which can be read again."""
    shown: list[dict[str, str | float | list[str]]] = []
    for one in commands:
        shown.append({"name": one.name, "argv": list(one.argv), "keys": list(one.keys), "dags": list(one.dags)})
        if one.env:
            shown[-1]["env"] = [f"{name}={HIDDEN}" for name in one.env]
    return shown
