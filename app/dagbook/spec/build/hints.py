"""Suggestions for mistakes: words of other formats, and values of the wrong type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from dagbook.spec.problem import LONGEST_SHOWN, quoted
from dagbook.spec.time.duration import duration_seconds

_MIN_SIMILARITY = 0.7
# Words of other formats, without case, dashes and underscores; the first one that the object knows is suggested.
_SYNONYMS = {
    "after": ("depends",),
    "always": ("exit",),
    "args": ("params", "command"),
    "arguments": ("params", "command"),
    "begin": ("start",),
    "cmd": ("command", "condition"),
    "concurrency": ("maxConcurrent", "maxActiveSteps"),
    "cron": ("start", "schedule"),
    "cwd": ("workingDir",),
    "dag": ("call",),
    "delay": ("intervalSec", "delaySec"),
    "dir": ("workingDir",),
    "directory": ("workingDir",),
    "each": ("parallel",),
    "entrypoint": ("command",),
    "environment": ("env",),
    "equals": ("expected",),
    "exec": ("command",),
    "finally": ("exit", "handlerOn"),
    "foreach": ("parallel",),
    "if": ("preconditions", "condition"),
    "inputs": ("params",),
    "jobs": ("steps",),
    "labels": ("tags",),
    "matrix": ("parallel",),
    "name": ("type",),
    "needs": ("depends",),
    "not": ("negate",),
    "onabort": ("abort", "handlerOn"),
    "oncancel": ("cancel", "handlerOn"),
    "onerror": ("failure", "handlerOn", "continueOn"),
    "onexit": ("exit", "handlerOn"),
    "onfailure": ("failure", "handlerOn", "continueOn"),
    "oninit": ("init", "handlerOn"),
    "onsuccess": ("success", "handlerOn"),
    "parameters": ("params",),
    "pool": ("queue",),
    "recipients": ("to",),
    "repeat": ("repeatPolicy",),
    "requires": ("depends",),
    "retries": ("retryPolicy", "limit"),
    "retry": ("retryPolicy",),
    "server": ("host",),
    "signal": ("signalOnStop",),
    "stages": ("steps",),
    "subdag": ("call",),
    "tasks": ("steps",),
    "uses": ("executor",),
    "value": ("expected",),
    "variables": ("env",),
    "vars": ("env",),
    "when": ("preconditions", "condition"),
    "workflow": ("call",),
    "zone": ("schedule",),
}
_FLAGS = {"yes": "true", "on": "true", "y": "true", "true": "true", "no": "false", "off": "false", "n": "false"}
_FLAGS |= {"false": "false", "1": "true", "0": "false"}


def closest(text: str, known: Iterable[str]) -> str:
    """Return the closest known word, ignoring case; an empty text if none is close."""
    if len(text) > LONGEST_SHOWN:
        return ""
    spellings = {word.lower(): word for word in known}
    found = get_close_matches(text.lower(), spellings, n=1, cutoff=_MIN_SIMILARITY)
    return spellings[found[0]] if found else ""


def intended_key(key: str, known: Sequence[str]) -> str:
    """Return the known key that an unknown one stands for; an empty text if there is none."""
    plain = _plain(key)
    same = next((name for name in known if _plain(name) == plain), "")
    also = next((name for name in _SYNONYMS.get(plain, ()) if name in known), "")
    return same or also or closest(key, known)


def key_for_2x(key: str, known: Iterable[str]) -> str:
    """Return the known key that a key of the 2.x dialect in snake case stands for; an empty text if there is none."""
    plain = key.replace("_", "") if key == key.lower() and "_" in key else ""
    return next((name for name in known if plain and name.lower() == plain), "")


def join_words(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def for_flag(value: object) -> str:
    """Suggest the boolean that a word stands for."""
    flag = _FLAGS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    return f"; write {flag}" if flag else ""


def for_number(value: object, *, seconds: bool = False) -> str:
    """Suggest the number that a text stands for; with ``seconds`` a duration counts as well."""
    if not isinstance(value, str):
        return ""
    if value.strip().isdecimal():
        return "; take the quotes off"
    length = duration_seconds(value.strip()) if seconds else None
    return f"; write {length:.0f}" if length else ""


def for_list(value: object) -> str:
    """Suggest how one value becomes a list."""
    if isinstance(value, str):
        return f"; write [{quoted(value)}]"
    return f"; write [{value}]" if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")
