"""How an execution is carried out, as it is stored for readers: masked, and of a limited size. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dagbook.db.repositories.runs.step_details import Ran
from dagbook.executors import registry, shell
from dagbook.executors.contract import SetupError
from dagbook.executors.shell import ShellTexts
from dagbook.json_values import JsonObject
from dagbook.runs.secrets.masking import Masker
from dagbook.spec.model import Pair, Step

MOST_CHARACTERS = 16 * 1024  # of all texts of one execution
_SCRIPT = "<script>"


def describe_execution(place: Ran, step: Step, texts: ShellTexts, env: Iterable[Pair], masker: Masker) -> JsonObject:
    """Return where and how a step is carried out; ``place`` has the first, ``texts`` and ``env`` are evaluated.

    Texts are masked before they are cut, so that no part of a secret is left.
    """
    room = _Room(masker)
    commands = [list(room.take_all(words)) for words in _command_lines(step, texts)]
    script = None if texts.script == step.script else room.take(texts.script)
    pairs = [pair for pair in (Pair(room.take(each.name), room.take(each.value)) for each in env) if pair.name]
    described: JsonObject = msgspec.to_builtins(
        msgspec.structs.replace(
            place,
            directory=room.masked(place.directory),
            commands=tuple(tuple(words) for words in commands if words),
            script=script,
            env=tuple(pairs),
            cut=room.is_exceeded,
        )
    )
    return described


def _command_lines(step: Step, texts: ShellTexts) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command line; those of a program of this machine with the shell that reads them."""
    for each in (texts, *texts.following):
        if step.executor.type not in registry.COMMAND_TYPES:
            yield (each.program, *each.args) if each.program else ()
            continue
        try:
            words = shell.program_of(each, _SCRIPT if each.script else None)
        except SetupError:  # there is nothing to run, which is the error of the step
            continue
        yield words[:-1] if words[-1] == _SCRIPT else words


class _Room:
    """What is left of the characters that are stored."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._left = MOST_CHARACTERS
        self.is_exceeded = False

    def masked(self, text: str) -> str:
        """Mask a text; what is no UTF-8, which a variable of the system may have, cannot be stored."""
        masked = self._masker.mask(text)
        return masked if masked.isascii() else masked.encode("utf-8", "replace").decode()

    def take(self, text: str) -> str:
        """Return as much of a masked text as there is room for."""
        masked = self.masked(text)
        kept = masked[: self._left]
        self.is_exceeded = self.is_exceeded or len(kept) < len(masked)
        self._left -= len(kept)
        return kept

    def take_all(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield texts until there is no more room."""
        for text in texts:
            if self.is_exceeded:
                return
            yield self.take(text)
