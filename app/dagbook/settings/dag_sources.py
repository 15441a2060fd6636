"""The setting ``sources``: directories and Git repositories that definitions come from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from dagbook.settings.readers import (
    HIDDEN,
    Displayed,
    Hidden,
    Raw,
    absolute,
    items_of,
    of_text,
    read_file,
    read_text,
    read_truth,
)
from dagbook.settings.records import Reader, read_keys, read_named, read_secret

PROTOCOLS = ("https", "ssh", "file", "http")
_EXAMPLE = '[{"name": "team", "place": "https://git.example.org/team/dags.git"}]'


class ConfiguredSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source as the setting gives it; a relative path starts from the folder of the settings file."""

    name: str
    place: str
    branch: str = ""
    path: str = ""
    writable: bool = False
    adopt: bool = False
    credentials: Path | None = None
    hook_secret: Hidden = Hidden("")


def read(raw: Raw, folder: Path) -> tuple[ConfiguredSource, ...]:
    return read_named(raw, "source", _EXAMPLE, partial(_source, folder=folder), is_shown=str.isprintable)


def _source(entry: Mapping[str, Raw], folder: Path) -> ConfiguredSource:
    readers: dict[str, Reader] = {
        **dict.fromkeys(("name", "place", "branch", "path"), read_text),
        **dict.fromkeys(("writable", "adopt"), of_text(read_truth)),
        "credentials": read_file,
        "hook_secret": of_text(read_secret),
    }
    values = read_keys(entry, readers, folder, "source", needed=("name", "place"))
    if is_path(values["place"]):
        values["place"] = str(absolute(folder, values["place"]))
    return ConfiguredSource(**values)


def is_path(place: str) -> bool:
    """Whether a place is a path of this machine: no address, and not as ``git@host:path``."""
    return "://" not in place and (place.startswith(("/", ".", "~")) or ":" not in place)


def display(sources: tuple[ConfiguredSource, ...]) -> Displayed:
    shown: list[dict[str, str | float | list[str]]] = []
    for one in sources:
        given = {key: value for key, value in msgspec.structs.asdict(one).items() if value}
        shown.append({key: value if isinstance(value, bool) else str(value) for key, value in given.items()})
        if one.hook_secret:
            shown[-1]["hook_secret"] = HIDDEN
    return shown


def read_protocols(raw: Raw, _folder: Path) -> tuple[str, ...]:
    for word in items_of(raw):
        if word not in PROTOCOLS:
            raise ValueError(f"{word!r} is no protocol that can be allowed; write some of {', '.join(PROTOCOLS)}")
    return tuple(items_of(raw))
