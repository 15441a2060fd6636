"""Where a text for a POSIX shell is quoted, and how a value is inserted there so that it stays one word of text.

Only what decides about quotes is read: quotes, backslashes, comments, here-documents, ``$(…)``, ``${…}`` and backticks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

import msgspec

from dagbook.spec.expansion.shell_commands import POSIX_SHELLS, Pipeline, Rereading
from dagbook.spec.reading.rendering import quote_text

_NIX_SHELL = "nix-shell"  # its lines are read by bash
_BACKTICKS = re.compile(r"`([^\\`]*(?:\\.[^\\`]*)*)`", re.DOTALL)
_UNESCAPED_IN_BACKTICKS = re.compile(r"""\\[\\`$"]""")
_QUOTED_WORD = re.compile(r"""(["'])([^"'\s`]{1,60})\1""")
_PIECE = re.compile(
    r"""\\. | \$\(\( | \$\( | \$\{ | \$' | \(\( | [()}'"`\n#] | <<<
      | <<-?[ \t]*(?P<delimiter>(?:\\. | '[^'\n]*' | "[^"\n]*" | [^\s;&|()<>'"\\])+)""",
    re.VERBOSE | re.DOTALL,
)  # fmt: skip
_CASE = re.compile(r"\bcase\b")
_BEFORE_COMMENT = ("", *" \t\n;&|()`")
_MAX_DEPTH = 100  # of quotes and parentheses in each other
_MAX_DEPTH_OF_TEXTS = 10  # here-documents and commands in backticks in each other
_BEFORE_WORD = ("", *" \t\n;&|()")
_SHEBANG = re.compile(r"\s*#!.*\b(?:ba|da|k|z|a)?sh\b")


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
    reread: bool = False  # another shell reads the text, with its quotes, and expands the reference itself
    pasted: bool = False  # another shell reads the value as a part of its text, as in eval "rm ${A}"
    evaluation: str = ""  # the command that evaluates the value as arithmetic or the name of a variable

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


class _HereDocument(msgspec.Struct, frozen=True):
    delimiter: str
    quoted: bool
    tabs_removed: bool
    pipeline: Pipeline


class ShellQuotes:
    """Quoting of a text for a POSIX shell, at the positions of double quotes."""

    def __init__(
        self,
        text: str,
        context: _Context = _Context.COMMAND,
        depth: int = 0,
        rereading: Rereading = Rereading.NONE,
    ) -> None:
        self._text = text
        self._depth = depth
        self._has_case = _CASE.search(text) is not None
        self._contexts = [context]
        self._pipelines = [Pipeline(rereading)]  # one for each context
        self._found: dict[int, Quoting] = {}
        self._in_pipelines: list[tuple[int, Pipeline]] = []  # positions in single quotes
        self._heredocs: list[_HereDocument] = []  # those whose text starts on the next line
        self._certain = depth <= _MAX_DEPTH_OF_TEXTS
        position = 0
        while self._certain and (found := _PIECE.search(text, position)) is not None:
            self._read_words(text[position : found.start()])
            position = self._read(found)
            self._certain = self._certain and len(self._contexts) <= _MAX_DEPTH
        self._read_words(text[position:])
        self._certain = self._certain and self._contexts == [context] and not self._heredocs
        for at, pipeline in self._in_pipelines:
            if pipeline.ends_in_shell:
                self._found[at] = msgspec.structs.replace(self._found[at], reread=True)

    def at(self, position: int) -> Quoting | None:
        """Return the quoting at the position of a double quote; None if the text cannot be followed."""
        return self._found.get(position) if self._certain else None

    def _read_words(self, text: str) -> None:
        if self._contexts[-1] is _Context.COMMAND and text.strip(" \t"):
            self._pipelines[-1] = self._pipelines[-1].read(text)

    def _pop(self) -> None:
        self._contexts.pop()
        self._pipelines.pop()

    def _read(self, found: re.Match[str]) -> int:
        """Handle a piece; returns the position after it."""
        piece, context = found[0], self._contexts[-1]
        if context is _Context.SINGLE:
            return self._in_single_quotes(found)
        if piece[0] == "\\":
            return found.end()
        if piece == '"':
            self._note(found.start())
        if piece == "`":
            return self._backticks(found.start())
        if piece == "\n" and context is not _Context.DOUBLE:
            position = self._here_documents(found.end()) if self._heredocs else found.end()
            self._read_words("\n")
            return position
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
        self._pop()
        return end + 1

    def _backticks(self, start: int) -> int:
        """Read a command in backticks, which is a text of its own; what a backslash hides in it is left to the shell.

        A shell looks for the next backtick first, whatever quotes or comments are before it.
        """
        group = _BACKTICKS.match(self._text, start)
        if group is None:
            self._certain = False
            return len(self._text)
        if not _UNESCAPED_IN_BACKTICKS.search(group[1]):
            inside = ShellQuotes(group[1], depth=self._depth + 1, rereading=self._pipelines[-1].rereading)
            for position, quoting in inside._found.items() if inside._certain else ():
                self._found[group.start(1) + position] = msgspec.structs.replace(
                    quoting, backticks=quoting.backticks + 1
                )
        return group.end()

    def _when_expanded(self, found: re.Match[str]) -> int:
        """Handle a piece between double quotes or in a here-document."""
        piece = found[0]
        if piece == '"' and self._contexts[-1] is _Context.DOUBLE:
            self._pop()
        elif piece in {"$((", "$(", "${"}:
            self._open(found)
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
        if piece in {'"', "'", "$'", "$((", "((", "$(", "(", "${"}:
            self._open(found)
        elif piece in {")", "}"}:
            return self._close(found)
        return found.end()

    def _open(self, found: re.Match[str]) -> None:
        piece = found[0]
        opened = {
            '"': _Context.DOUBLE,
            "'": _Context.SINGLE,
            "$'": _Context.SINGLE,
            "${": _Context.BRACES,
            "$((": _Context.ARITHMETIC,
            "((": _Context.ARITHMETIC,
        }
        is_quoted = _Context.DOUBLE in self._contexts or _Context.HEREDOC in self._contexts
        if piece == "$'" or (piece == "'" and is_quoted and self._contexts[-1] is _Context.BRACES):
            self._certain = False  # shells disagree about the end of these
        self._open_word(found)
        context, outer = opened.get(piece, _Context.COMMAND), self._pipelines[-1]
        self._contexts.append(context)
        # What the command in eval "$(…)" prints is read again.
        self._pipelines.append(Pipeline(outer.rereading) if context is _Context.COMMAND else outer)

    def _open_word(self, found: re.Match[str]) -> None:
        """Note a word of a command that begins with a quote or a substitution."""
        if self._contexts[-1] is not _Context.COMMAND:
            return
        word = _QUOTED_WORD.match(self._text, found.start())
        if word or self._starts_word(found.start()):
            self._pipelines[-1].add(word[2] if word else found[0])

    def _starts_word(self, position: int) -> bool:
        return self._text[max(position - 1, 0) : position] in _BEFORE_WORD

    def _close(self, found: re.Match[str]) -> int:
        context = self._contexts[-1]
        if found[0] == "}":
            if context is _Context.BRACES:
                self._pop()
            return found.end()
        if context is _Context.ARITHMETIC:
            if self._text.startswith("))", found.start()):
                self._pop()
                return found.end() + 1
            return found.end()
        if context is _Context.COMMAND and len(self._contexts) > 1:
            self._pop()
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
            self._heredocs.append(
                _HereDocument(delimiter, delimiter != written, found[0].startswith("<<-"), self._pipelines[-1])
            )
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
        is_program = document.pipeline.reads_here_documents or document.pipeline.ends_in_shell
        if document.quoted:
            quoting = Quoting(literal=True, reread=is_program or _SHEBANG.match(text) is not None)
            self._found |= {start + quote.start(): quoting for quote in re.finditer('"', text)}
            return
        inside = ShellQuotes(text, _Context.HEREDOC, self._depth + 1)
        self._certain = self._certain and inside._certain
        for position, found in inside._found.items():
            self._found[start + position] = msgspec.structs.replace(found, pasted=found.pasted or is_program)

    def _note(self, position: int) -> None:
        context, pipeline = self._contexts[-1], self._pipelines[-1]
        single, closes = context is _Context.SINGLE, context is _Context.DOUBLE
        reread = single and pipeline.rereading is not Rereading.NONE
        least = Rereading.ONE if closes else Rereading.ALL
        self._found[position] = Quoting(
            single=single,
            closes=closes,
            reread=reread,
            pasted=not single and pipeline.rereading >= least,
            evaluation="" if single else pipeline.evaluation(starts_word=self._starts_word(position)),
        )
        if single:
            self._in_pipelines.append((position, pipeline))
