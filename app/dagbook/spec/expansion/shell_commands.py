"""Which commands of a shell text read their arguments or input once more, as a program or as the name of a variable.

The words of a pipeline are looked at one by one, as they are read. Only usual spellings are recognised.
"""

from __future__ import annotations

import re
from enum import IntEnum

POSIX_SHELLS = frozenset({"sh", "bash", "zsh", "ksh", "ash", "dash"})
# With an option -c they read its argument, without one their input.
_SHELLS = POSIX_SHELLS | {"mksh", "fish", "su", "runuser", "sg", "script", "flock"}
_READ_AN_ARGUMENT = frozenset({"trap", "alias", "xargs", "watch", "parallel", "complete"})
_READ_ALL_ARGUMENTS = frozenset({"eval", "ssh", "autossh", "rsh", "mosh"})  # joined to one text
_READ_INPUT = frozenset({"sudo", "doas", "at", "batch", "source"})
_BEFORE_COMMAND = frozenset({"sudo", "doas", "env", "exec", "nohup", "command"})
_SCRIPT_FILE = re.compile(r">*[^>]*\.(?:sh|bash|zsh|ksh)")
_FILE = re.compile(r"(?!-|/dev/stdin)[^<>]*[./]")
_OPTION_C = re.compile(r"-[A-Za-z]*c|--command=?")
# The builtins of bash that evaluate the index of an array element, a[…], when they are given its name.
_TAKE_NAMES = frozenset({"read", "declare", "typeset", "local", "unset", "wait"})
_DECLARE = frozenset({"declare", "typeset", "local"})
_OPTION_OF_NUMBERS = re.compile(r"-[A-Za-z]*[in]")
_HAVE_OPTION_V = frozenset({"test", "[", "[[", "printf"})
_BEFORE_BUILTIN = frozenset(
    {"if", "elif", "then", "else", "while", "until", "do", "{", "!", "time", "builtin", "command", "exec"}
)
_TOKEN = re.compile(
    r"(?P<end>&&|\|\||[;\n]|(?<![<>])&(?!>)) | (?P<pipe>\|) | (?P<word>(?:[^\s;&|]|(?<=[<>])&|&(?=>))+)", re.VERBOSE
)


class Rereading(IntEnum):
    """Which arguments of a command are read as a program."""

    NONE = 0
    ONE = 1
    ALL = 2


class Pipeline:
    """The words of a pipeline, as far as it was read."""

    def __init__(self, rereading: Rereading = Rereading.NONE) -> None:
        """Begin one; ``rereading`` is that of the command that gets its output."""
        self.rereading = self._outer = rereading
        self.ends_in_shell = False  # its first commands write a program
        self._shell = self._reads_input = False
        self._takes_option_c = False  # a shell, or a program whose name is in a variable
        self._command_expected = False
        self._previous = ""
        self._test = self._declaration = self._evaluation = ""
        self._evaluates_next_only = False
        self._has_command = False  # what follows are its arguments, as in docker wait

    @property
    def reads_here_documents(self) -> bool:
        """Whether a here-document in it is a program."""
        return self._shell or self._reads_input or self.rereading is not Rereading.NONE

    def evaluation(self, *, starts_word: bool) -> str:
        """Return the command that evaluates the next word as arithmetic or the name of a variable; empty if none."""
        return self._evaluation or (self._declaration if starts_word else "")

    def read(self, text: str) -> Pipeline:
        """Read text outside quotes; returns the pipeline that its end belongs to."""
        pipeline = self
        for token in _TOKEN.finditer(text):
            if token["pipe"]:
                pipeline._end_command()
            elif token["word"]:
                pipeline.add(token["word"])
            elif token["end"] != "\n" or not pipeline._command_expected:
                pipeline = Pipeline(self._outer)
        return pipeline

    def add(self, word: str) -> None:
        """Add a word; of one in quotes what is between them."""
        if self._evaluates_next_only:
            self._evaluation, self._evaluates_next_only = "", False
        name = word.rpartition("/")[2]
        if self._previous.rpartition("/")[2] in POSIX_SHELLS and _FILE.match(word):  # it reads that file instead
            self._shell = self._takes_option_c = self.ends_in_shell = False
        if name in _READ_ALL_ARGUMENTS:
            self.rereading = Rereading.ALL
        elif name in _READ_AN_ARGUMENT or (self._takes_option_c and _OPTION_C.fullmatch(name)):
            self.rereading = max(self.rereading, Rereading.ONE)
        self._shell = self._shell or name in _SHELLS
        self._takes_option_c = self._shell or self._takes_option_c or name[:1] == "$"
        is_target = word.startswith(">") or self._previous.endswith(">") or self._previous == "tee"
        writes_script = is_target and _SCRIPT_FILE.fullmatch(word) is not None
        self._reads_input = self._reads_input or name in _READ_INPUT or writes_script
        self._add_to_evaluation(name, is_command=not self._has_command)
        self._has_command = self._has_command or (word not in _BEFORE_BUILTIN and "=" not in word)
        if self._command_expected and name not in _BEFORE_COMMAND and name[:1] != "-" and "=" not in name:
            self._command_expected = False
            self.ends_in_shell = self.ends_in_shell or name in _SHELLS or name in _READ_ALL_ARGUMENTS
        self._previous = word

    def _end_command(self) -> None:
        self._reads_input = self.reads_here_documents
        self.rereading = self._outer
        self._shell = self._takes_option_c = self._evaluates_next_only = self._has_command = False
        self._previous = self._test = self._declaration = self._evaluation = ""
        self._command_expected = True

    def _add_to_evaluation(self, name: str, *, is_command: bool) -> None:
        if is_command and name == "let":
            self._evaluation = name
        elif is_command and name in _TAKE_NAMES:
            self._declaration = name
        elif is_command and name in _HAVE_OPTION_V:
            self._test = name
        elif name == "-v" and self._test:
            self._evaluation, self._evaluates_next_only = f"{self._test} -v", True
        elif self._declaration in _DECLARE and _OPTION_OF_NUMBERS.match(name):
            self._evaluation = f"{self._declaration} {name}"
