"""Lines of a step from any line on, on one stream or on both as one, however its output was cut into chunks."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace
from sqlalchemy import delete

from dagbook.api.params.log_paging import slice_chunk
from dagbook.db.database import Database, WriteConnection
from dagbook.db.models.node import LogChunk
from dagbook.db.repositories.logs import merged_logs
from dagbook.db.repositories.logs.logs import BOTH, StreamKey
from dagbook.db.repositories.logs.merged_logs import ChunkCursor, MergedLog
from tests.db.rows import add_chunk, add_whole_run, rehearse

Text = tuple[int, int, str]  # stream, execution, text of a chunk


def store(connection: WriteConnection, texts: list[Text]) -> int:
    run = add_whole_run(connection)
    seqs, lines, offsets = {1: 0, 2: 0}, {1: 1, 2: 1}, {1: 0, 2: 0}
    for ordinal, (stream, execution, text) in enumerate(texts):
        count, size = text.count("\n"), len(text.encode())
        add_chunk(
            connection,
            run,
            seqs[stream],
            stream=stream,
            ordinal=ordinal,
            execution=execution,
            first_line=lines[stream],
            line_count=count,
            byte_offset=offsets[stream],
            byte_count=size,
            text=text,
        )
        seqs[stream] += 1
        lines[stream] += count
        offsets[stream] += size
    return run


def read(log: MergedLog, first: int, count: int) -> tuple[str, int]:
    page = log.lines(first, count)
    pieces = [slice_chunk(chunk, page) for chunk in page.chunks]
    numbers = [line for line, text in pieces if text]
    assert numbers == sorted(numbers)
    assert not numbers or numbers[0] == first
    return "".join(text for _, text in pieces), page.count


@pytest.mark.parametrize("seed", range(4))
async def test_every_page_has_its_lines(database: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same for every run
    words = ["one\n", "two\nthree\n", "\n", "open", "a\nopen", "x\ny\nz\n"]
    texts = [(chance.choice([1, 1, 1, 2]), 1 + number // 30, chance.choice(words)) for number in range(90)]

    def work(connection: WriteConnection) -> None:
        run = store(connection, texts)
        for stream in (BOTH, 1, 2):
            whole = "".join(text for of, _, text in texts if stream in (BOTH, of))
            lines = whole.splitlines(keepends=True)
            log = MergedLog(connection, StreamKey(run, 1, 0, stream))
            assert log.total == len(lines)
            for first in range(1, len(lines) + 1):
                for count in (1, 7, 1000):
                    wanted = lines[first - 1 : first - 1 + count]
                    assert read(log, first, count) == ("".join(wanted), len(wanted)), (stream, first, count)
                page = log.lines(first, 1)
                begun = next(chunk for chunk in page.chunks if slice_chunk(chunk, page)[1])
                assert log.chunk_of(first) == replace(begun, text=""), (stream, first)

    await rehearse(database, work)


@pytest.mark.parametrize("seed", range(4))
async def test_a_line_of_one_stream_is_found_among_both(database: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    # Each line has its stream and number in it, so that it can be recognized.
    numbers, texts = {1: 0, 2: 0}, list[Text]()
    for _ in range(60):
        stream = chance.choice([1, 2])
        text = ""
        for _ in range(chance.randrange(1, 4)):
            numbers[stream] += 1
            text += f"{stream}:{numbers[stream]}\n"
        texts.append((stream, 1, text))

    def work(connection: WriteConnection) -> None:
        log = MergedLog(connection, StreamKey(store(connection, texts), 1, 0, BOTH))
        lines = "".join(text for _, _, text in texts).splitlines()
        for stream, last in numbers.items():
            for number in range(1, last + 1):
                assert lines[log.line_of(stream, number) - 1] == f"{stream}:{number}"
            assert lines[log.line_of(stream, 2**31 - 1) - 1] == f"{stream}:{last}"

    await rehearse(database, work)


async def test_an_execution_has_the_lines_that_it_wrote(database: Database) -> None:
    texts = [(1, 1, "a\nb\n"), (2, 1, "err\n"), (1, 3, "c\nopen"), (2, 4, "d\n"), (1, 4, "e\n")]

    def work(connection: WriteConnection) -> None:
        log = MergedLog(connection, StreamKey(store(connection, texts), 1, 0, BOTH))
        spans = [log.span(execution) for execution in range(1, 6)]
        # The second wrote nothing; the third ended within a line, which the fourth continues.
        assert spans == [(1, 3), (4, 3), (4, 5), (5, 6), (7, 6)]

    await rehearse(database, work)


async def test_output_that_is_deleted_while_it_is_read_has_no_lines(database: Database) -> None:
    """On PostgreSQL another connection can delete the run between two statements."""
    texts = [(1, 1, "a\n"), (2, 1, "b\n"), (1, 2, "c\nopen")]

    def work(connection: WriteConnection) -> None:
        log = MergedLog(connection, StreamKey(store(connection, texts), 1, 0, BOTH))
        connection.execute(delete(LogChunk))
        page = log.lines(1, 10)
        assert (list(page.chunks), log.chunk_of(1), log.block(ChunkCursor())) == ([], None, [])
        assert log.span(2)[1] < log.span(2)[0]
        assert log.line_of(1, 2) <= log.total

    await rehearse(database, work)


async def test_a_stream_without_output_has_no_lines(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        log = MergedLog(connection, StreamKey(store(connection, [(1, 1, "a\n")]), 1, 0, 2))
        assert (log.total, log.span(1), log.line_of(2, 5), log.block(ChunkCursor())) == (0, (1, 0), 1, [])

    await rehearse(database, work)


async def test_a_page_of_long_lines_has_the_complete_ones_that_fit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged_logs, "MAX_BYTES", 10)
    monkeypatch.setattr(merged_logs, "MAX_LINE_BYTES", 40)
    texts = [(1, 1, "x" * 8), (1, 1, "x" * 8 + "\nshort\n"), (1, 1, "y\n"), *[(1, 1, "z" * 9)] * 9, (1, 1, "\nend\n")]

    def work(connection: WriteConnection) -> None:
        log = MergedLog(connection, StreamKey(store(connection, texts), 1, 0, BOTH))
        assert read(log, 1, 100) == ("x" * 16 + "\nshort\n", 2)
        assert read(log, 3, 100)[0].startswith("y\n")
        line, count = read(log, 4, 100)  # longer than a page of one line may be
        assert (set(line), count) == ({"z"}, 1)
        assert read(log, 5, 100) == ("end\n", 1)

    await rehearse(database, work)


async def test_blocks_have_every_chunk_once_in_order(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_logs, "MAX_BYTES", 8)
    texts = [(1 + number % 3 // 2, 1 + number // 10, f"{number}\n") for number in range(40)]

    def work(connection: WriteConnection) -> None:
        key = StreamKey(store(connection, texts), 1, 0, BOTH)
        for execution, first in ((1, 0), (3, 20)):
            at, found = merged_logs.find_execution(connection, key, execution), list[str]()
            while chunks := merged_logs.read_block(connection, key, at):
                found += [chunk.text for chunk in chunks]
                at = at.after(chunks)
            assert found == [text for _, _, text in texts[first:]]

    await rehearse(database, work)
