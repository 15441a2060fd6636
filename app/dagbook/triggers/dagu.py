"""Imported webhooks of Dagu 1.30: requests at its path, and tokens of which there is a bcrypt hash alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import bcrypt
import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories.triggers import triggers
from dagbook.db.repositories.triggers.triggers import TriggerRow
from dagbook.errors import BadRequestError
from dagbook.identifiers import check_run_id
from dagbook.sources.signatures import WrongSignatures
from dagbook.triggers.schemes import hash_token
from dagbook.triggers.service import Triggers

_LONGEST_TOKEN = 72  # bytes that bcrypt reads
_EMPTY = b"{}"


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a request. Its event is the payload alone; the sender may name the run."""

    dag_run_id: str | None = None
    payload: msgspec.Raw = msgspec.Raw(_EMPTY)

    @classmethod
    def read(cls, body: bytes) -> WebhookRequest:
        """Read a body; raises BadRequestError."""
        try:
            found = msgspec.json.decode(body, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequestError(
                'the body is not that of a webhook; send JSON as {"payload": {"a": 1}}, with a dagRunId or without'
            ) from error
        if found.dag_run_id:
            check_run_id(found.dag_run_id)
        return found

    @property
    def event(self) -> bytes:
        """The body of the event; an empty object without a payload, as runs of Dagu have it."""
        payload = bytes(self.payload)
        return _EMPTY if payload == b"null" else payload


class ImportedTokens:
    """Tokens of which there is a bcrypt hash alone, until each is used.

    bcrypt takes a core for a good part of a second: it is computed for one request at a time, and not soon after wrong
    tokens from the same network. The first use of a token stores its SHA-256.
    """

    def __init__(self, database: Database, known: Triggers, wrong: WrongSignatures) -> None:
        self._database = database
        self._known = known
        self._wrong = wrong
        self._turn = asyncio.Lock()

    async def open(self, row: TriggerRow, token: str, address: str) -> list[str]:
        """Return the SHA-256 of the tokens of a trigger, as far as they are known, for a request with a token.

        Raises EncryptionError, and for a token that is none of them TooManyRequestsError and UnauthorizedError.
        """
        hashes, unused = self._read(row)
        if token and unused and hash_token(token) not in hashes:
            async with self._turn:
                return await self._use(row.name, token, address)
        return hashes

    async def _use(self, name: str, token: str, address: str) -> list[str]:
        """Return the SHA-256 of a token, which is stored at its first use; raises AppError for a wrong one."""
        row = await self._database.read_inline(triggers.get, name)
        hashes, unused = ([], []) if row is None else self._read(row)
        if hash_token(token) not in hashes:  # else the request before was the first use
            self._wrong.check(name, address)
            hashed = await asyncio.to_thread(_find_fitting, token, unused)
            if row is None or hashed is None:
                self._wrong.refuse(name, address)
            await self._known.store_hash(row, hashed, token)
        return [hash_token(token)]

    def _read(self, row: TriggerRow) -> tuple[list[str], list[str]]:
        """Return the SHA-256 of tokens, and the bcrypt hashes of those that were not used yet."""
        found = [secret.rpartition(" ")[2] for secret in self._known.open_secrets(row)]
        return [each for each in found if not each.startswith("$")], [each for each in found if each.startswith("$")]


def _find_fitting(token: str, hashes: Sequence[str]) -> str | None:
    """Return the bcrypt hash of a token."""
    encoded = token.encode()
    if len(encoded) > _LONGEST_TOKEN:
        return None
    return next((each for each in hashes if bcrypt.checkpw(encoded, each.encode())), None)
