"""The setting ``sources``: directories and Git repositories that definitions come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from dagbook.settings.nodes import read_fields, read_records, read_secret
from dagbook.settings.types import FILE, HIDDEN, TRUTH, WORDS, Displayed, Hidden, Raw, SettingType, Text, absolute

_EXAMPLE = '[{"name": "team", "place": "https://git.example.org/team/dags.git"}]'
_PROTOCOLS = ("https", "ssh", "file", "http")


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


def _read(raw: Raw, folder: Path) -> tuple[ConfiguredSource, ...]:
    found: list[ConfiguredSource] = []
    for number, entry in enumerate(read_records(raw, _EXAMPLE), 1):
        subject = f"source {number}" + (f" ({entry['name']})" if entry.get("name", "").isprintable() else "")
        try:
            values = read_fields(entry, _READERS, folder, "a source")
        except ValueError as error:
            raise ValueError(f"{subject}: {error}") from None
        for key in ("name", "place"):
            if not values.get(key):
                raise ValueError(f"{subject}: {key}: is missing")
        if is_path(values["place"]):
            values["place"] = str(absolute(folder, values["place"]))
        if values["name"] in {other.name for other in found}:
            raise ValueError(f"{subject}: name: is there twice; give each source a name of its own")
        found.append(ConfiguredSource(**values))
    return tuple(found)


def is_path(place: str) -> bool:
    """Whether a place is a path of this machine: no address, and not as ``git@host:path``."""
    return "://" not in place and (place.startswith(("/", ".", "~")) or ":" not in place)


_READERS: Mapping[str, SettingType | Text] = {
    "name": str,
    "place": str,
    "branch": str,
    "path": str,
    "writable": TRUTH,
    "adopt": TRUTH,
    "credentials": FILE,
    "hook_secret": read_secret,
}


def _display(sources: tuple[ConfiguredSource, ...]) -> Displayed:
    shown: list[dict[str, str | float]] = []
    for one in sources:
        given = {key: value for key, value in msgspec.structs.asdict(one).items() if value}
        shown.append({key: value if isinstance(value, bool) else str(value) for key, value in given.items()})
        if one.hook_secret:
            shown[-1]["hook_secret"] = HIDDEN
    return shown


# Secret, hence without a flag: it contains secrets of hooks.
SOURCES = SettingType(name="list of sources", read=_read, records=True, display=_display, is_secret=True)


def _read_protocols(raw: Raw, folder: Path) -> object:
    words = WORDS.read(raw, folder)
    for word in words if isinstance(words, tuple) else ():
        if word not in _PROTOCOLS:
            raise ValueError(f"{word!r} is no protocol that can be allowed; write some of {', '.join(_PROTOCOLS)}")
    return words


PROTOCOLS = SettingType(name=f"list of {', '.join(_PROTOCOLS)}", read=_read_protocols, display=list)
