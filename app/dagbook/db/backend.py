"""Protocol of the two database backends, and the types of their connections.

Work is a synchronous function of a connection, run inside one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NewType, Protocol, TypeVar

from sqlalchemy import Connection

from dagbook.db.notifications import Notifications

# A write connection may also read; a read connection must not write.
ReadConnection = NewType("ReadConnection", Connection)
WriteConnection = NewType("WriteConnection", ReadConnection)

T = TypeVar("T")
Read = Callable[[ReadConnection], T]
Write = Callable[[WriteConnection], T]


class Backend(Protocol):
    """Connections of one database; ``Database`` documents what each method guarantees."""

    dialect: str

    async def read(self, work: Read[T]) -> T:
        """Run read-only work that may take long."""

    async def read_inline(self, work: Read[T]) -> T:
        """Run work that reads a few rows through an index."""

    async def snapshot(self, work: Read[T]) -> T:
        """Run read-only work that sees one state of the database throughout."""

    async def write(self, work: Write[T], committed: Callable[[], None], *, durable: bool, by_keys: bool) -> T:
        """Run work in a transaction, then call ``committed``, even if the caller no longer waits."""

    @property
    def notifications(self) -> Notifications | None:
        """Notifications between the processes on the database; None if there can be only one."""

    def try_lock(self, purpose: str) -> AbstractAsyncContextManager[bool]:
        """Yield whether the lock of this purpose was acquired."""

    async def close(self) -> None:
        """Close all connections."""
