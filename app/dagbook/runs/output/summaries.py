"""Summaries of steps: the Markdown file that a step may write, and the text that is stored of it.

A step of the server's account finds the file in the spool. Another account cannot enter that: its file is in a folder
of its own, to which a link in the spool leads, for a server that adopts the run.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dagbook.executors.capture import read_text
from dagbook.runs.output.spool import name_folder, remove_linked_folder
from dagbook.runs.secrets.masking import Masker
from dagbook.unix.unix_accounts import AccountError, files_as, read_own_file, remove_tree

VARIABLE = "DAG_SUMMARY"
ENDING = ".summary"
LIMIT_BYTES = 64 * 1024
_LONGEST_LAST_LINE = 4096  # bytes; what is cut ends with a line, unless that is longer
CUT = f"\n\n[dagbook: this summary is cut at the limit of {LIMIT_BYTES} bytes]\n"
UNREADABLE = "[dagbook: the summary is not shown: it is no regular file in the folder that the step got for it]\n"


class SummaryFile:
    """The file of one node, which its executions share."""

    def __init__(self, base: str, account: str) -> None:
        """Take the start of the paths of the node in the spool, and the account of the step."""
        self._place = Path(base + ENDING)
        self._account = account
        self.path = self._place
        if account and self._place.is_symlink():
            self.path = self._place.readlink()
        elif account:
            self.path = name_folder() / "summary.md"

    def prepare(self, *, is_first: bool) -> None:
        """Make the folder of an account, and remove what an earlier execution has written, if there was one.

        Without the folder a step that writes a summary fails, and others do not.
        """
        if is_first and not self._account:
            return
        with suppress(OSError, AccountError):
            if self._account and not self._place.is_symlink():
                self._place.symlink_to(self.path)
            with files_as(self._account):
                if self._account:
                    self.path.parent.mkdir(mode=0o700, exist_ok=True)
                _remove(self.path)

    def read(self, masker: Masker, encoding: str) -> str:
        """Return what the execution has written, masked; empty if it has written nothing."""
        try:
            data = read_own_file(self.path, LIMIT_BYTES + masker.longest + 1, self._account)
        except FileNotFoundError:
            return ""
        return UNREADABLE if data is None else stored_text(data, masker, encoding)

    def remove(self) -> None:
        """Remove the file, with the folder of an account."""
        remove_linked_folder(self._place)
        _remove(self._place)


def stored_text(data: bytes, masker: Masker, encoding: str) -> str:
    """Return what is stored of a summary that begins with ``data``, at most 64 KiB; empty if it is blank.

    Secrets are searched twice, as in output: a process has them in UTF-8 whatever encoding it writes.
    """
    is_cut = len(data) > LIMIT_BYTES
    text = read_text(_masked(data, masker, is_cut=is_cut), encoding)
    masked = _masked(text.encode("utf-8", "replace"), masker, is_cut=is_cut)
    if not is_cut and len(masked) <= LIMIT_BYTES:
        return _decode(masked) if masked.strip() else ""
    kept = masked[: LIMIT_BYTES - len(CUT)]
    line_end = kept.rfind(b"\n", -_LONGEST_LAST_LINE) + 1
    return _decode(kept[: line_end or None]) + CUT


def _masked(data: bytes, masker: Masker, *, is_cut: bool) -> bytes:
    """Mask the whole, or the start that no value crosses: one may go on behind the part that was read."""
    if not is_cut:
        return masker.mask_bytes(data)
    return masker.mask_prefix(data, min(len(data), LIMIT_BYTES), whole_lines=False).masked


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "ignore")  # a character at the end may be cut


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        remove_tree(path)
