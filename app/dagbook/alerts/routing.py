"""Which rules cover a DAG, and to whom they report an event. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from dagbook.alerts.due import due_at
from dagbook.alerts.kinds import PING, Kind, names
from dagbook.db.repositories.alerts.rules import RuleRow, TargetRow

_TAG, _NOT = "tag:", "!"
_LONGEST_TAG = 256
_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]{1,64}")


class Verdict(NamedTuple):
    """Whether a rule covers a DAG, and the word that decides: one that excludes it, else the first that names it."""

    covers: bool
    word: str


class Message(NamedTuple):
    """Whom a rule tells, and when."""

    target: TargetRow
    due_at: datetime
    remind_seconds: int


def check_word(text: str) -> str:
    """Return a match word as it is stored; raises ValueError."""
    word = text.strip()
    sign, plain = (_NOT, word[1:]) if word.startswith(_NOT) else ("", word)
    if plain.startswith(_TAG):
        tag = plain.removeprefix(_TAG).strip().lower()  # as those of definitions
        if not tag or len(tag) > _LONGEST_TAG or "\0" in tag:
            raise ValueError(f"is no tag; write {_TAG}NAME with 1 to {_LONGEST_TAG} characters")
        return f"{sign}{_TAG}{tag}"
    if not _PATTERN.fullmatch(plain):
        raise ValueError(
            "is no pattern of DAG names; use 1 to 64 letters, digits, '-', '_', '.', '*' for any text and '?' for any "
            f"sign, or {_TAG}NAME, each with {_NOT} before it to exclude what it names"
        )
    return sign + plain


def single_name(match: Sequence[str]) -> str:
    """Return the DAG name that match words consist of; empty for others."""
    is_name = len(match) == 1 and not match[0].startswith((_NOT, _TAG)) and not set("*?") & set(match[0])
    return match[0] if is_name else ""


def excludes_only(match: Iterable[str]) -> bool:
    """Whether there is no word that covers anything."""
    return all(word.startswith(_NOT) for word in match)


def judge(match: Iterable[str], name: str, tags: Collection[str]) -> Verdict:
    """Return whether match words cover a DAG with a name and tags."""
    naming = ""
    for word in match:
        plain = word.removeprefix(_NOT)
        if plain.removeprefix(_TAG) in tags if plain.startswith(_TAG) else fnmatchcase(name, plain):
            if word.startswith(_NOT):
                return Verdict(covers=False, word=word)
            naming = naming or word
    return Verdict(covers=bool(naming), word=naming)


def find_covering(rules: Iterable[RuleRow], name: str, tags: Collection[str]) -> list[RuleRow]:
    """Return the rules that cover a DAG."""
    return [rule for rule in rules if judge(rule.match, name, tags).covers]


def find_reasons(rules: Iterable[RuleRow], name: str, tags: Collection[str]) -> list[str]:
    """Return why no rule covers a DAG: the words that exclude it, with their rules."""
    verdicts = [(rule.name, judge(rule.match, name, tags)) for rule in rules]
    return [f"{verdict.word!r} of the rule {rule} excludes it" for rule, verdict in verdicts if verdict.word]


def opens(kind: Kind, rules: Iterable[RuleRow]) -> bool:
    """Whether an event of a kind opens an alert: a partial success only where failures are reported, too."""
    if kind is Kind.PARTIAL:
        return any({Kind.PARTIAL, Kind.FAILED} <= set(rule.kinds) for rule in rules)
    return bool(kind.ended)


def find_targets(rule: RuleRow, kind: Kind) -> list[TargetRow]:
    """Return to whom a rule reports a kind: a success to pings, too, if the rule does not name it."""
    is_named, is_success = names(rule.kinds, kind), kind is Kind.SUCCEEDED
    return [target for target in rule.targets if is_named or (is_success and target.type == PING)]


def plan(rules: Iterable[RuleRow], kind: Kind, count: int, at: datetime) -> list[Message]:
    """Return to whom the covering rules report the ``count``-th event in a row, each channel once, at its earliest.

    What a server looks for is one event, however long it lasts, and is reported whatever the number of a rule is.
    """
    messages = [
        Message(target, due_at(at, target.delay_seconds, rule.quiet), rule.remind_seconds)
        for rule in rules
        if count >= rule.after or kind.is_watched
        for target in find_targets(rule, kind)
        if target.enabled
    ]
    messages.sort(key=lambda message: message.due_at, reverse=True)
    return list({message.target.channel_id: message for message in messages}.values())


def closing_due(rules: Iterable[RuleRow], channel_id: int, at: datetime) -> datetime:
    """Return when a channel is told the end of an alert: at once, unless all rules that lead to it are quiet."""
    leading = (rule for rule in rules if any(target.channel_id == channel_id for target in rule.targets))
    return min((due_at(at, 0, rule.quiet) for rule in leading), default=at)
