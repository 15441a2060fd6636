"""Stand-ins for values that are not known before a run, or not to be shown, while texts are evaluated around them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from dagbook.runs.evaluate import ShellContext
from dagbook.runs.server_context import HostEnvironment
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.model import Pair

_FIRST, _MOST = 0x20000, 0xA6D7  # ideographs that are hardly ever written: no shell takes notice of them, all print
_SECRET = "*******"  # noqa: S105 - this is what is shown in place of one
_CREDENTIAL = re.compile(r"SECRET|TOKEN|PASSW|PASSPHRASE|PASS$|CREDENTIAL|(API|PRIVATE|ACCESS)_?KEY|AUTHORI[SZ]ATION")
_PATH = re.compile(r"\$\{([A-Za-z0-9_]+)\.[^}]+\}|\$([A-Za-z0-9_]+)\.\S+")


class Placeholders:
    """Texts behind stand-ins. Each is one character, so no operator of the shell can take it apart."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._places: dict[str, int] = {}

    def without_commands(self, machine: HostEnvironment) -> HostEnvironment:
        """Give a machine that runs no command and tells no credential."""
        environ = {name: self.hide() if is_credential(name) else value for name, value in machine.environ.items()}
        return msgspec.structs.replace(machine, environ=environ, substitute=self.replace_command)

    @property
    def texts(self) -> tuple[str, ...]:
        """What is held, in the order of its coming."""
        return tuple(self._texts)

    def replace(self, text: str) -> str:
        """Give the stand-in that is shown as a text; raises ExpansionError when there are too many."""
        if text not in self._places:
            if len(self._texts) == _MOST:
                raise ExpansionError(f"more than {_MOST} values are only known when it runs")
            self._places[text] = len(self._texts)
            self._texts.append(text)
        return chr(_FIRST + self._places[text])

    def hide(self) -> str:
        """Give the stand-in for a secret."""
        return self.replace(_SECRET)

    async def replace_command(self, command: str, _around: ShellContext) -> str:
        """Stand in for what a command would print."""
        return self.replace(f"`{command}`")

    def hide_credentials(self, pairs: Iterable[Pair]) -> tuple[Pair, ...]:
        """Hide the values of variables whose names say that they are secret."""
        return tuple(Pair(pair.name, self.hide()) if is_credential(pair.name) else pair for pair in pairs)

    def replace_paths(self, value: Any, names: Iterable[str]) -> Any:
        """Hold references into outputs, like ``${OUT.a.b}``, in every text of a structure."""
        wanted = frozenset(names)

        def replace(match: re.Match[str]) -> str:
            return self.replace(match[0]) if (match[1] or match[2]) in wanted else match[0]

        def replaced(value: Any) -> Any:
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
        """Whether a text holds anything that is not known."""
        return any(0 <= ord(character) - _FIRST < len(self._texts) for character in text)

    def show(self, text: str) -> str:
        """Write a text with what stands behind its stand-ins."""
        while self.is_in(text):  # a command may hold stand-ins itself, of those that came before it
            text = "".join(map(self._show_one, text))
        return text

    def _show_one(self, character: str) -> str:
        place = ord(character) - _FIRST
        return self._texts[place] if 0 <= place < len(self._texts) else character

    def show_config(self, value: Any) -> Any:
        """Write every text of a config; what its key calls secret is hidden."""
        match value:
            case str():
                return self.show(value)
            case dict():
                return {
                    str(key): _SECRET if is_credential(str(key)) else self.show_config(below)
                    for key, below in value.items()
                }
            case list() | tuple():
                return [self.show_config(below) for below in value]
        return value


def is_credential(name: str) -> bool:
    """Whether a name says that its value is secret."""
    return _CREDENTIAL.search(name.upper()) is not None
