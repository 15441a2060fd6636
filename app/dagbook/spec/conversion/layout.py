"""The text of a rewritten step: entries of ``with`` become entries beside it, each with its lines and comments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dagbook.spec.conversion.actions import Made, Moved, Rewritten
from dagbook.spec.conversion.source import Edit, Entry, Lines, Value, apply_edits, find_comments


class StepLayout:
    """Writes a step in place of its text. ``newline`` is how its lines end."""

    def __init__(self, lines: Lines, newline: str) -> None:
        self._lines = lines
        self._text = lines.text
        self._newline = newline

    def rewrite(self, step: Value, first: Entry, given: Entry | None, rewritten: Rewritten) -> Iterator[Edit]:
        """Return the edits that put what is rewritten in place of ``first``, the action or run, and of ``given``."""
        inline = [rewritten.head] if rewritten.head else []
        if given is None:
            inline += [part for part in rewritten.parts if isinstance(part, Made)]
        separator = ", " if step.is_flow else self._newline + " " * (first.key.column - 1)
        if inline:
            text = separator.join(f"{part.key}: {part.text}" for part in inline)
            yield Edit(first.start, first.end, text)
        else:
            is_script = "\n" in (first.value.scalar or "").strip()
            yield Edit(first.key.start, first.key.end, "script" if is_script else "command")
        if given is not None:
            yield self._replace_in_brackets(step, given, rewritten) if step.is_flow else self._replace(given, rewritten)

    def _replace_in_brackets(self, step: Value, given: Entry, rewritten: Rewritten) -> Edit:
        parts = [self._inline(part) for part in rewritten.parts]
        if rewritten.config:
            parts.append(self._brackets("config", rewritten.config))
        if rewritten.left:
            parts.append(self._brackets("with", [Moved(entry.name, entry) for entry in rewritten.left]))
        if parts:
            return Edit(given.start, given.end, ", ".join(parts))
        at = next(index for index, entry in enumerate(step.entries) if entry is given)
        if at:
            return Edit(step.entries[at - 1].end, given.end, "")
        return Edit(given.start, step.entries[1].start, "")

    def _inline(self, part: Made | Moved) -> str:
        if isinstance(part, Made):
            return f"{part.key}: {part.text}"
        key = self._source(part.entry.key) if part.key == part.entry.name else part.key
        return f"{key}: {self._source(part.entry.value)}"

    def _brackets(self, key: str, entries: Sequence[Moved]) -> str:
        return f"{key}: {{{', '.join(self._inline(entry) for entry in entries)}}}"

    def _source(self, value: Value) -> str:
        return self._text[value.start : value.end]

    def _replace(self, given: Entry, rewritten: Rewritten) -> Edit:
        """Replace the lines of ``with`` in a block."""
        begin, end = self._lines.start_of(given.start), self._lines.end_of(max(given.end - 1, given.start))
        indent = " " * (given.key.column - 1)
        is_block = given.value.is_map and not given.value.is_flow and not given.value.is_alias
        chunks = _Chunks(self._lines, given, end) if is_block else None
        text = "".join(self._block(given, rewritten, indent, chunks))
        if self._text[begin : given.start].strip():  # behind the dash of the step
            begin = given.start
            text = text.removeprefix(indent) or self._newline
        if not self._text[begin:end].endswith(("\n", "\r")):
            text = text.removesuffix(self._newline)
        return Edit(begin, end, text)

    def _block(self, given: Entry, rewritten: Rewritten, indent: str, chunks: _Chunks | None) -> Iterator[str]:
        made: list[Made | Moved] = [*([rewritten.head] if rewritten.head else []), *rewritten.parts]
        sources = [entry for part in made if isinstance(part, Made) for entry in part.sources]
        groups = {"config": rewritten.config, "with": [Moved(entry.name, entry) for entry in rewritten.left]}
        groups = {key: entries for key, entries in groups.items() if entries}
        for comment in self._comments(given, sources, chunks, keeps_first=bool(groups)):
            yield f"{indent}{comment}{self._newline}"
        for part in rewritten.parts:
            if isinstance(part, Moved) and chunks:
                yield chunks.shifted(part.entry, part.key, indent)
            else:
                yield f"{indent}{self._inline(part)}{self._newline}"
        for number, (key, entries) in enumerate(groups.items()):
            if chunks:
                first = self._text[given.key.end : chunks.begin] if not number else f":{self._newline}"
                yield f"{indent}{key}{first}" + "".join(chunks.renamed(entry.entry, entry.key) for entry in entries)
            else:
                yield f"{indent}{self._brackets(key, entries)}{self._newline}"

    def _comments(
        self, given: Entry, sources: Sequence[Entry], chunks: _Chunks | None, *, keeps_first: bool
    ) -> Iterator[str]:
        """Find the comments of what is consumed, and of a ``with`` of which nothing is left."""
        if chunks is None:
            end = self._lines.end_of(max(given.end - 1, given.start))
            yield from find_comments(self._text, given.key.end, end, [given.value])
            return
        if not keeps_first:
            yield from find_comments(self._text, given.key.end, chunks.begin, [])
        for entry in sources:
            yield from find_comments(self._text, *chunks.span(entry), [entry.key, entry.value])


class _Chunks:
    """The whole lines of each entry of a block, with the comments above it."""

    def __init__(self, lines: Lines, given: Entry, end: int) -> None:
        self._lines = lines
        self._text = lines.text
        entries = given.value.entries
        self.begin = lines.end_of(given.key.end)
        ends = [lines.end_of(max(entry.end - 1, entry.start)) for entry in entries]
        ends[-1] = end
        self._spans = {
            entry.start: (begin, last) for entry, begin, last in zip(entries, [self.begin, *ends], ends, strict=False)
        }

    def span(self, entry: Entry) -> tuple[int, int]:
        return self._spans[entry.start]

    def renamed(self, entry: Entry, key: str) -> str:
        """Return the lines of an entry under another key."""
        begin, end = self._spans[entry.start]
        edit = Edit(entry.key.start - begin, entry.key.end - begin, key)
        text = apply_edits(self._text[begin:end], [edit] if key != entry.name else [])
        return text if text.endswith(("\n", "\r")) else f"{text}\n"

    def shifted(self, entry: Entry, key: str, indent: str) -> str:
        """Return the lines of an entry under another key, moved to the left."""
        width = entry.key.column - 1 - len(indent)
        lines = self.renamed(entry, key).splitlines(keepends=True)
        return "".join(line[min(width, len(line) - len(line.lstrip(" "))) :] for line in lines)
