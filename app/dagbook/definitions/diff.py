"""The unified diff of two texts. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import unified_diff

_CONTEXT = 3
_MAX_WORK = 4_000_000  # worst-case steps of the comparison: about a second
_UNENDED = "\n\\ No newline at end of file\n"
_LINE_NUMBER = re.compile(r"(?<=[-+])[0-9]+")


def unified(old: str, new: str, old_name: str, new_name: str) -> str:
    """Return a diff that ``patch`` reads; empty if the texts are equal.

    Texts that would take long to compare are shown as one change from the first different line to the last.
    """
    before, after = _lines(old), _lines(new)
    if before == after:
        return ""
    first, last = _same_ends(before, after)
    skipped = max(first - _CONTEXT, 0)
    cut = max(last - _CONTEXT, 0)
    before, after = before[skipped : len(before) - cut], after[skipped : len(after) - cut]
    # An upper bound of difflib's steps: it visits all pairs of equal lines, once for each block it finds.
    counts = Counter(after)
    work = (len(before) + sum(counts[line] for line in before)) * min(len(before), len(after))
    compare = unified_diff if work <= _MAX_WORK else _one_change
    lines = compare(before, after, old_name, new_name)
    return "".join(_adjusted(line, skipped) for line in lines)


def _lines(text: str) -> list[str]:
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _same_ends(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Count the equal lines at the start, and of the rest those at the end."""
    most = min(len(before), len(after))
    first = next((index for index in range(most) if before[index] != after[index]), most)
    most -= first
    last = next((index for index in range(most) if before[-1 - index] != after[-1 - index]), most)
    return first, last


def _one_change(before: Sequence[str], after: Sequence[str], old_name: str, new_name: str) -> Iterator[str]:
    first, last = _same_ends(before, after)
    yield f"--- {old_name}\n"
    yield f"+++ {new_name}\n"
    yield f"@@ -1,{len(before)} +1,{len(after)} @@\n"
    yield from (f" {line}" for line in before[:first])
    yield from (f"-{line}" for line in before[first : len(before) - last])
    yield from (f"+{line}" for line in after[first : len(after) - last])
    yield from (f" {line}" for line in before[len(before) - last :])


def _adjusted(line: str, skipped: int) -> str:
    """Adjust line numbers to the complete text, and mark a last line without an end."""
    if line.startswith("@@"):
        return _LINE_NUMBER.sub(lambda number: str(int(number[0]) + skipped), line)
    return line if line.endswith("\n") else line + _UNENDED
