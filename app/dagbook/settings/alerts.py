"""The settings ``alert_channels`` and ``alert_rules``: what is reported to whom.

What their values mean is decided with those of requests, in ``dagbook.alerts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from dagbook.settings.readers import HIDDEN, Displayed, Raw, integer, items_of, of_text, read_text, read_truth
from dagbook.settings.records import Reader, read_keys, read_named, read_secret

Value: TypeAlias = str | int | bool | list[str] | dict[str, str]
_SECRET = of_text(read_secret)
_SECRET_KEYS = ("url", "secret")  # the address of a chat is one
_SMTP_KEYS = ("host", "port", "username")


class AlertEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A channel or a rule as the setting gives it; its keys have the values of their types."""

    name: str
    values: Mapping[str, Value]


def read_channels(raw: Raw, folder: Path) -> tuple[AlertEntry, ...]:
    readers: dict[str, Reader] = {
        **dict.fromkeys(("name", "type", "from", "interval", "every"), read_text),
        **dict.fromkeys(_SECRET_KEYS, _SECRET),
        **dict.fromkeys(("fail", "enabled", "shared"), of_text(read_truth)),
        "to": _read_items,
        "smtp": _read_smtp,
    }
    example = '[{"name": "ops", "type": "slack", "url": "https://…"}]'
    make = partial(_entry, readers, folder, "channel", ("name", "type"))
    return read_named(raw, "channel", example, make, is_shown=str.isprintable)


def read_rules(raw: Raw, folder: Path) -> tuple[AlertEntry, ...]:
    readers: dict[str, Reader] = {
        **dict.fromkeys(("name", "remind", "quiet"), read_text),
        **dict.fromkeys(("match", "on", "to"), _read_items),
        "after": integer(1, 1_000).read,
        "enabled": of_text(read_truth),
    }
    example = '[{"name": "all", "match": ["*"], "on": ["failed"], "to": ["ops"]}]'
    make = partial(_entry, readers, folder, "rule", ("name", "match", "on", "to"))
    return read_named(raw, "rule", example, make, is_shown=str.isprintable)


def _entry(
    readers: Mapping[str, Reader], folder: Path, what: str, needed: tuple[str, ...], entry: Mapping[str, Raw]
) -> AlertEntry:
    values = read_keys(entry, readers, folder, what, needed)
    return AlertEntry(name=values.pop("name"), values=values)


def _read_items(raw: Raw, _folder: Path) -> list[str]:
    return items_of(raw)


def _read_smtp(raw: Raw, _folder: Path) -> dict[str, str]:
    values = {key.strip(): value.strip() for key, _, value in (item.partition("=") for item in items_of(raw))}
    if unknown := values.keys() - {*_SMTP_KEYS}:
        raise ValueError(
            f"{min(unknown)!r} is no key of a mail server; write a map with some of {', '.join(_SMTP_KEYS)}"
        )
    return values


def display(entries: tuple[AlertEntry, ...]) -> Displayed:
    shown: list[dict[str, str | float | list[str]]] = []
    for entry in entries:
        shown.append({"name": entry.name})
        for key, value in entry.values.items():
            plain = [f"{name}={text}" for name, text in value.items()] if isinstance(value, dict) else value
            shown[-1][key] = HIDDEN if key in _SECRET_KEYS and value else plain
    return shown
