"""What the two databases have in common: connections to read and to write through, and the ways to them.

All work is a synchronous function of a connection, run inside one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NewType, Protocol, TypeVar

from sqlalchemy import Connection

from dagbook.db.notifications import Notifications

# A write connection may be read through; a read connection may not be written through.
ReadConnection = NewType("ReadConnection", Connection)
WriteConnection = NewType("WriteConnection", ReadConnection)

T = TypeVar("T")
Read = Callable[[ReadConnection], T]
Write = Callable[[WriteConnection], T]


class Backend(Protocol):
    """The connections of one database; what each way promises stands at ``Database``."""

    dialect: str

    async def read(self, work: Read[T]) -> T:
        """Run work that only reads and may take long."""

    async def read_inline(self, work: Read[T]) -> T:
        """Run work that reads a few rows through an index."""

    async def snapshot(self, work: Read[T]) -> T:
        """Run work that only reads and sees one state throughout."""

    async def write(self, work: Write[T], committed: Callable[[], None], *, durable: bool) -> T:
        """Run work in a transaction, and ``committed`` after it, whether or not the caller still waits."""

    @property
    def notifications(self) -> Notifications | None:
        """The way to the other processes on the database."""

    def try_lock(self, purpose: str) -> AbstractAsyncContextManager[bool]:
        """Tell whether nobody else does the same."""

    async def close(self) -> None:
        """Close all connections."""
