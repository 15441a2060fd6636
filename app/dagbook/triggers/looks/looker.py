"""One look of a trigger, of any kind, with the rights that its DAG has on this machine."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from dagbook.executors.contract import SshPolicy
from dagbook.runs.server_context import HostEnvironment
from dagbook.telemetry.printable import printable
from dagbook.triggers.looks.comparison import Listing
from dagbook.triggers.looks.files import LookError, list_files
from dagbook.triggers.looks.http import Address, HttpLooker
from dagbook.triggers.looks.options import FILES, HTTP, Place, place_of, sftp_server
from dagbook.triggers.requests import WebhookSettings

_LONGEST_PROBLEM, _MOST_LISTINGS, _LIMIT_SECONDS = 500, 32, 30.0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a look is for.

    ``run_as`` is the account of the DAG, and ``known`` the fingerprint that an address had when it was handled. The id
    of a trigger is 0 before it is stored.
    """

    trigger: int
    kind: str
    settings: WebhookSettings
    run_as: str | None
    secret: str
    most_bytes: int
    known: str = ""


class Looker:
    """Looks; one for a process, on the machine ``host``."""

    def __init__(self, machine: HostEnvironment, policy: SshPolicy, host: str) -> None:
        self.host = host
        self._machine = machine
        self._policy = policy
        self._http = HttpLooker(machine.egress)
        # Threads of their own: a file system that does not answer must take none of those that the rest works with.
        self._threads = ThreadPoolExecutor(_MOST_LISTINGS, thread_name_prefix="listing")
        self._listings: dict[tuple[int, Place], Future[Listing]] = {}

    async def close(self) -> None:
        """Close connections; harmless without any."""
        await self._http.close()

    async def look(self, asked: Asked) -> Listing:
        """Return what is there; raises LookError, with a message that can be shown."""
        try:
            return await self._look(asked)
        except LookError as error:
            raise LookError(printable(str(error))[:_LONGEST_PROBLEM]) from error

    async def _look(self, asked: Asked) -> Listing:
        settings = asked.settings
        if asked.kind == HTTP:
            address = Address(
                url=settings.url, changed=settings.changed, token=asked.secret, most_bytes=asked.most_bytes
            )
            return await self._http.look(address, asked.known)
        machine = self._machine.for_run(None, asked.run_as)
        if asked.kind == FILES:
            return await self._list(asked.trigger, place_of(settings), machine.account)
        try:
            from dagbook.triggers.looks import sftp  # noqa: PLC0415 - the library is an extra
        except ModuleNotFoundError as error:
            raise LookError(f"the package {error.name} is missing here; pip install 'dagbook[ssh]'") from error
        login = sftp.make_login(sftp_server(settings.url)[0], asked.secret, self._policy, machine.home)
        return await sftp.list_files(place_of(settings), login, machine.account)

    async def _list(self, trigger: int, place: Place, account: str) -> Listing:
        """List a directory; while one does not answer, its trigger takes no further thread."""
        key, text = (trigger, place), f"{place.directory} gave no listing within {_LIMIT_SECONDS:.0f} s"
        if (before := self._listings.get(key)) is not None and not before.done():
            raise LookError(text)
        listing = self._listings[key] = self._threads.submit(list_files, place, account)
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(listing))
        except TimeoutError as error:
            raise LookError(text) from error
        finally:
            if listing.done():
                del self._listings[key]
