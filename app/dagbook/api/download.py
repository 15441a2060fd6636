"""Download of a step's complete stored output, streamed in blocks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import quote

from litestar import MediaType
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from dagbook.db.database import Database
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey

TEXT_FILE = ResponseSpec(str, generate_examples=False, media_type="text/plain", description="The whole output")


def file_name(step: str, stream: str) -> str:
    return f"{step}.{'out' if stream == 'stdout' else 'err'}"


def send_log(database: Database, key: StreamKey, name: str) -> Stream:
    """Stream the output stored so far as an attachment with this file name."""
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Stream(_blocks(database, key), media_type=MediaType.TEXT, headers=headers)


async def _blocks(database: Database, key: StreamKey) -> AsyncIterator[bytes]:
    seq = 0
    while texts := await database.read(partial(logs.find_texts, key=key, seq=seq)):
        for text in texts:
            yield text.encode()
        seq += len(texts)
