"""Where a text for a POSIX shell is quoted, and how a value is inserted there so that it stays one word of text.

Only what decides about quotes is read: quotes, backslashes, comments, here-documents, ``$(…)``, ``${…}`` and backticks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

import msgspec

from dagbook.spec.reading.rendering import quote_text

POSIX_SHELLS = frozenset({"sh", "bash", "zsh", "ksh", "ash", "dash"})
_NIX_SHELL = "nix-shell"  # its lines are read by bash


def program_name(path: str) -> str:
    """Return the name of a program without its directory and extension."""
    return path.rpartition("/")[2].lower().removesuffix(".exe")


def reads_posix(shell: Sequence[str]) -> bool:
    """Whether a shell with its arguments, or ``env`` with the name of one, reads the language of POSIX shells."""
    names = [program_name(word) for word in shell if not word.startswith("-")]
    if names[:1] == ["env"]:
        names = names[1:]
    return bool(names) and (names[0] in POSIX_SHELLS or names[0] == _NIX_SHELL)


class _Context(Enum):
    COMMAND = "command"  # outside quotes: the text itself, $(…), (…) and ((…))
    ARITHMETIC = "arithmetic"
    BRACES = "braces"  # ${…}
    BACKTICKS = "backticks"
    SINGLE = "single"
    DOUBLE = "double"
    HEREDOC = "heredoc"  # with an unquoted delimiter: expanded, quotes are ordinary
    LITERAL = "literal"  # a here-document with a quoted delimiter


class Quoting(msgspec.Struct, frozen=True):
    """Quoting at the position of a double quote."""

    single: bool = False
    literal: bool = False  # in a here-document that the shell does not expand
    closes: bool = False  # it closes a string, so that what follows is outside quotes
    backticks: int = 0  # how many of them are around it

    def insert(self, value: str) -> str:
        """Return a value with the quotes that it needs in place of ``"${NAME}"`` there."""
        text = quote_text(value)
        if self.literal:
            return text
        text = text.replace("'", "'\\''") if self.single else escape_expansions(text)
        if self.closes:
            text = f'"{text}"'
        for _ in range(self.backticks):
            text = escape_again(text)
        return text


def escape_expansions(text: str) -> str:
    """Escape the dollar signs and backticks of a text within double quotes."""
    return text.replace("$", "\\$").replace("`", "\\`")


def escape_again(text: str) -> str:
    """Escape a text once more: backticks and double quotes remove a backslash before these characters."""
    return escape_expansions(text.replace("\\", "\\\\"))


_PIECE = re.compile(
    r"""\\. | \$\(\( | \$\( | \$\{ | \$' | \(\( | [()}'"`\n#] | <<<
      | <<-?[ \t]*(?P<delimiter>(?:\\. | '[^'\n]*' | "[^"\n]*" | [^\s;&|()<>'"\\])+)""",
    re.VERBOSE | re.DOTALL,
)  # fmt: skip
_CASE = re.compile(r"\bcase\b")
_BEFORE_COMMENT = ("", *" \t\n;&|()`")
_MAX_DEPTH = 100  # of quotes and parentheses in each other
_MAX_HERE_DOCUMENTS = 10  # in each other


class _HereDocument(msgspec.Struct, frozen=True):
    delimiter: str
    quoted: bool
    tabs_removed: bool


class ShellQuotes:
    """Quoting of a text for a POSIX shell, at the positions of double quotes."""

    def __init__(self, text: str, context: _Context = _Context.COMMAND, depth: int = 0) -> None:
        self._text = text
        self._depth = depth
        self._has_case = _CASE.search(text) is not None
        self._contexts = [context]
        self._found: dict[int, Quoting] = {}
        self._heredocs: list[_HereDocument] = []  # those whose text starts on the next line
        self._certain = depth <= _MAX_HERE_DOCUMENTS
        position = 0
        while self._certain and (found := _PIECE.search(text, position)) is not None:
            position = self._read(found)
            self._certain = self._certain and len(self._contexts) <= _MAX_DEPTH
        self._certain = self._certain and self._contexts == [context] and not self._heredocs

    def at(self, position: int) -> Quoting | None:
        """Return the quoting at the position of a double quote; None if the text cannot be followed."""
        return self._found.get(position) if self._certain else None

    def _read(self, found: re.Match[str]) -> int:
        """Handle a piece; returns the position after it."""
        piece, context = found[0], self._contexts[-1]
        if context is _Context.SINGLE:
            return self._in_single_quotes(found)
        if piece[0] == "\\":
            return found.end()
        if piece == '"':
            self._note(found.start())
        if piece == "\n" and self._heredocs and context is not _Context.DOUBLE:
            return self._here_documents(found.end())
        if context in (_Context.DOUBLE, _Context.HEREDOC):
            return self._when_expanded(found)
        return self._in_command(found)

    def _in_single_quotes(self, found: re.Match[str]) -> int:
        """Only a single quote ends them; a backslash before it is an ordinary character."""
        start = found.start()
        end = self._text.find("'", start)
        for quote in re.finditer('"', self._text[start : end if end >= 0 else len(self._text)]):
            self._note(start + quote.start())
        if end < 0:
            return len(self._text)
        self._contexts.pop()
        return end + 1

    def _when_expanded(self, found: re.Match[str]) -> int:
        """Handle a piece between double quotes or in a here-document."""
        piece = found[0]
        if piece == '"' and self._contexts[-1] is _Context.DOUBLE:
            self._contexts.pop()
        elif piece in {"$((", "$(", "${", "`"}:
            self._open(piece)
        else:
            return found.start() + 1
        return found.end()

    def _in_command(self, found: re.Match[str]) -> int:
        piece, context = found[0], self._contexts[-1]
        if (
            piece == "#"
            and context is not _Context.BRACES
            and self._text[max(found.start() - 1, 0) : found.start()] in _BEFORE_COMMENT
        ):
            end = self._text.find("\n", found.end())
            return len(self._text) if end < 0 else end
        if piece.startswith("<<"):
            return self._announce(found)
        if piece in {'"', "'", "$'", "$((", "((", "$(", "(", "${", "`"}:
            self._open(piece)
        elif piece in {")", "}"}:
            return self._close(found)
        return found.end()

    def _open(self, piece: str) -> None:
        if piece == "`" and _Context.BACKTICKS in self._contexts:
            while self._contexts.pop() is not _Context.BACKTICKS:
                self._certain = self._certain and self._contexts[-1] is _Context.BACKTICKS
            return
        opened = {
            '"': _Context.DOUBLE,
            "'": _Context.SINGLE,
            "$'": _Context.SINGLE,
            "${": _Context.BRACES,
            "`": _Context.BACKTICKS,
            "$((": _Context.ARITHMETIC,
            "((": _Context.ARITHMETIC,
        }
        if piece == "$'":  # whether a backslash escapes the quote in it depends on the shell
            self._certain = False
        self._contexts.append(opened.get(piece, _Context.COMMAND))

    def _close(self, found: re.Match[str]) -> int:
        context = self._contexts[-1]
        if found[0] == "}":
            if context is _Context.BRACES:
                self._contexts.pop()
            return found.end()
        if context is _Context.ARITHMETIC:
            if self._text.startswith("))", found.start()):
                self._contexts.pop()
                return found.end() + 1
            return found.end()
        if context is _Context.COMMAND and len(self._contexts) > 1:
            self._contexts.pop()
            self._certain = self._certain and not self._has_case  # it may end a pattern instead
        elif context is not _Context.COMMAND:
            self._certain = False
        return found.end()

    def _announce(self, found: re.Match[str]) -> int:
        """Note a here-document, whose text starts on the next line."""
        written = found["delimiter"]
        if self._contexts[-1] is _Context.ARITHMETIC:
            return found.start() + 2
        if written is not None:
            delimiter = re.sub(r"\\(.)|['\"]", r"\1", written)
            self._heredocs.append(_HereDocument(delimiter, delimiter != written, found[0].startswith("<<-")))
        return found.end()

    def _here_documents(self, position: int) -> int:
        """Read the here-documents that were announced; returns the end of the last delimiter."""
        for document in self._heredocs:
            end = self._end_of(document, position)
            if not self._certain:
                break
            self._here_document(position, end, document)
            line_end = self._text.find("\n", end)
            position = len(self._text) if line_end < 0 else line_end
        self._heredocs.clear()
        return position

    def _end_of(self, document: _HereDocument, position: int) -> int:
        """Return the start of the line that ends a here-document."""
        tabs = "\t*" if document.tabs_removed else ""
        ending = re.compile(rf"^{tabs}{re.escape(document.delimiter)}$", re.MULTILINE)
        found = ending.search(self._text, position)
        self._certain = self._certain and found is not None
        return found.start() if found else len(self._text)

    def _here_document(self, start: int, end: int, document: _HereDocument) -> None:
        text = self._text[start:end]
        if document.quoted:
            self._found |= {start + quote.start(): Quoting(literal=True) for quote in re.finditer('"', text)}
            return
        inside = ShellQuotes(text, _Context.HEREDOC, self._depth + 1)
        self._certain = self._certain and inside._certain
        outside = self._contexts.count(_Context.BACKTICKS)
        for position, found in inside._found.items():
            self._found[start + position] = msgspec.structs.replace(found, backticks=found.backticks + outside)

    def _note(self, position: int) -> None:
        context = self._contexts[-1]
        self._found[position] = Quoting(
            single=context is _Context.SINGLE,
            closes=context is _Context.DOUBLE,
            backticks=self._contexts.count(_Context.BACKTICKS),
        )
