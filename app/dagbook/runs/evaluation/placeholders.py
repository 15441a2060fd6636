"""Placeholders for values that are unknown before a run or secret, during the evaluation of texts with them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from dagbook.json_values import Json
from dagbook.runs.evaluate import ShellContext
from dagbook.runs.server_context import HostEnvironment
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.expansion.scope import is_credential
from dagbook.spec.model import Pair

# Rare ideographs: printable, and without a meaning for any shell.
_FIRST, _MOST = 0x20000, 0xA6D7
_SECRET = "*******"  # noqa: S105 - shown in place of a secret
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+(@)|(\bpassword=)(?:'[^']*'|\S+)()")  # in the address of a database
_PATH = re.compile(r"\$\{([A-Za-z0-9_]+)\.[^}]+\}|\$([A-Za-z0-9_]+)\.\S+")


class Placeholders:
    """Texts behind placeholders. A placeholder is one character, so that no shell operator can split it."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._indexes: dict[str, int] = {}

    def without_commands(self, machine: HostEnvironment) -> HostEnvironment:
        """Return a host environment that runs no commands and contains no credentials."""
        environ = {name: self.hide() if is_credential(name) else value for name, value in machine.environ.items()}
        return msgspec.structs.replace(machine, environ=environ, substitute=self.replace_command)

    @property
    def texts(self) -> tuple[str, ...]:
        """The replaced texts, in order of appearance."""
        return tuple(self._texts)

    def replace(self, text: str) -> str:
        """Return the placeholder that is shown as ``text``; raises ExpansionError if there are too many."""
        if text not in self._indexes:
            if len(self._texts) == _MOST:
                raise ExpansionError(f"more than {_MOST} values are only known when it runs")
            self._indexes[text] = len(self._texts)
            self._texts.append(text)
        return chr(_FIRST + self._indexes[text])

    def hide(self) -> str:
        """Return the placeholder for a secret."""
        return self.replace(_SECRET)

    async def replace_command(self, command: str, _shell_context: ShellContext) -> str:
        """Return the placeholder for the output of a command."""
        return self.replace(f"`{command}`")

    def hide_credentials(self, pairs: Iterable[Pair]) -> tuple[Pair, ...]:
        """Replace the values of variables whose names indicate a secret."""
        return tuple(Pair(pair.name, self.hide()) if is_credential(pair.name) else pair for pair in pairs)

    def replace_paths(self, value: Json, names: Iterable[str]) -> Json:
        """Replace references into outputs, such as ``${OUT.a.b}``, in every text of a structure."""
        outputs = frozenset(names)

        def replace(match: re.Match[str]) -> str:
            return self.replace(match[0]) if (match[1] or match[2]) in outputs else match[0]

        def replaced(value: Json) -> Json:
            match value:
                case str():
                    return _PATH.sub(replace, value)
                case dict():
                    return {key: replaced(below) for key, below in value.items()}
                case list():
                    return [replaced(below) for below in value]
            return value

        return replaced(value)

    def is_in(self, text: str) -> bool:
        """Whether a text contains a placeholder."""
        return any(0 <= ord(character) - _FIRST < len(self._texts) for character in text)

    def show(self, text: str) -> str:
        """Replace the placeholders in a text by their texts."""
        while self.is_in(text):  # the text of a command may contain earlier placeholders
            shown = []
            for character in text:
                index = ord(character) - _FIRST
                shown.append(self._texts[index] if 0 <= index < len(self._texts) else character)
            text = "".join(shown)
        return text

    def show_config(self, value: Json) -> Json:
        """Replace the placeholders in all texts of a config, and hide values whose keys indicate a secret."""
        match value:
            case str():
                return _PASSWORD.sub(rf"\1\3{_SECRET}\2", self.show(value))
            case dict():
                return {
                    str(key): _SECRET if is_credential(str(key)) else self.show_config(below)
                    for key, below in value.items()
                }
            case list() | tuple():
                return [self.show_config(below) for below in value]
        return value
