"""Merging a DAG with the base configuration (DAG format 1.10).

Both sides hold only the fields that are given, without defaults, so that a default never hides a base value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
from msgspec.structs import asdict

from dagbook.spec.build.field import Fields
from dagbook.spec.model import Container, Handlers, Schedule

S = TypeVar("S", bound=msgspec.Struct)
_MAILS = ("error_mail", "info_mail", "wait_mail")


def merge(base: Fields, own: Fields, *, handlers: bool = True) -> Fields:
    """Merge the fields of a DAG over those of the base; without ``handlers`` the base's handlers are left out.

    Mails without sender and recipients are left out, and so is a mail server without host and port.
    """
    merged = {name: value for name, value in base.items() if name not in _OWN_ONLY}
    if not handlers:
        merged.pop("handlers", None)
    for name, value in own.items():
        rule = _RULES.get(name, _prefer_own)
        merged[name] = rule(merged[name], value) if name in merged else value
    unused = [name for name in _MAILS if name in merged and not (merged[name].sender or merged[name].to)]
    if "smtp" in merged and not (merged["smtp"].host or merged["smtp"].port):
        unused.append("smtp")
    return {name: value for name, value in merged.items() if name not in unused}


def _prefer_own(base: object, own: object) -> object:
    """Replace texts, numbers, booleans and lists, unless the own value is empty, zero or false."""
    return own or base


def _append(base: tuple[object, ...], own: tuple[object, ...]) -> tuple[object, ...]:
    return base + own


def _update(base: Mapping[str, object], own: Mapping[str, object]) -> Mapping[str, object]:
    return {**base, **own}


def _overlay(base: msgspec.Struct, own: S) -> S:
    """Merge two objects member by member."""
    below, above = asdict(base), asdict(own)
    merged = {name: _MEMBER_RULES.get(name, _prefer_own)(below[name], value) for name, value in above.items()}
    return type(own)(**merged)


def _strictest(base: bool | None, own: bool | None) -> bool | None:
    """Merge ``strictHostKey``, which is true where it is not given: false only if both sides say so."""
    if base or own:
        return True
    return False if base is False and own is False else None


def _overlay_container(base: Container, own: Container) -> Container:
    """Merge containers; ``always`` is the zero value of the pull policy and loses to ``never``.

    A container with ``exec`` and one with ``image`` have nothing in common: the DAG's replaces the base's.
    """
    if bool(base.exec) != bool(own.exec):
        return own
    never = own.pull_policy == "always" and base.pull_policy == "never"
    merged = _overlay(base, own)
    return Container(**(asdict(merged) | {"pull_policy": "never"})) if never else merged


def _each(base: Handlers | Schedule, own: S) -> S:
    """Take each member as a whole, the DAG's first."""
    below = asdict(base)
    return type(own)(**{name: value or below[name] for name, value in asdict(own).items()})


# The DAG's own value or default always wins.
_OWN_ONLY = frozenset({"name", "type", "max_active_runs", "working_dir"})
_RULES: dict[str, Callable[..., object]] = {
    **dict.fromkeys(("env", "params", "dotenv", "tags"), _append),
    **dict.fromkeys(("worker_selector", "registry_auths"), _update),
    **dict.fromkeys(("smtp", *_MAILS, "ssh", "otel", "run_config"), _overlay),
    "container": _overlay_container,
    **dict.fromkeys(("mail_on", "log_output"), lambda _base, own: own),
    **dict.fromkeys(("handlers", "schedule"), _each),
}
_MEMBER_RULES: dict[str, Callable[..., object]] = {
    **dict.fromkeys(("env", "volumes", "ports", "to"), _append),
    **dict.fromkeys(("headers", "resource"), _update),
    "strict_host_key": _strictest,
}
