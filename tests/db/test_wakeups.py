"""How processes on one PostgreSQL wake each other: one connection each, whatever number of channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from dagbook.db.database import Database
from dagbook.db.notifications import Notifications
from tests.conftest import PostgresCopies
from tests.waiting import wait_until

CHANNELS = ("bells", "whistles")


class Ends(NamedTuple):
    """Two processes' ends, what the near one has heard, and a way to look at their connections."""

    near: Notifications
    far: Notifications
    heard: Counter[str]
    database: Database

    def hear(self, channel: str) -> None:
        self.near.listen(channel, lambda: self.heard.update([channel]))

    async def until_heard(self, channel: str, times: int) -> None:
        async def look() -> bool:
            return self.heard[channel] >= times

        await wait_until(look)

    async def count_connections(self) -> int:
        return int(await self.database.read(lambda c: c.exec_driver_sql(f"SELECT count(*) {_NEAR}").scalar_one()))


_NEAR = (
    "FROM pg_stat_activity WHERE application_name = 'near' AND query LIKE 'LISTEN%' AND datname = current_database()"
)


@pytest.fixture
async def ends(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    monkeypatch.setattr("dagbook.db.notifications._RETRY_SECONDS", 0.01)
    async for url in PostgresCopies(postgres_url).empty():
        near, far = [await Database.open(url, application=name, pool_size=1) for name in ("near", "far")]
        assert near.notifications is not None
        assert far.notifications is not None
        far.notifications.listen("nothing", lambda: None)
        try:
            yield Ends(near.notifications, far.notifications, Counter(), far)
        finally:
            for channel in CHANNELS:
                await near.notifications.unlisten(channel)
            await far.notifications.unlisten("nothing")
            await near.close()
            await far.close()


async def test_all_channels_are_heard_on_one_connection(ends: Ends) -> None:
    for channel in CHANNELS:
        ends.hear(channel)
        await ends.until_heard(channel, 1)  # as of what was told before
    for channel in CHANNELS:
        ends.far.notify(channel)
        await ends.until_heard(channel, 2)
    assert await ends.count_connections() == 1


async def test_who_tells_does_not_hear_itself(ends: Ends) -> None:
    for channel in CHANNELS:
        ends.hear(channel)
        await ends.until_heard(channel, 1)
    ends.near.notify("bells")
    ends.far.notify("whistles")
    await ends.until_heard("whistles", 2)
    ends.far.notify("bells")
    await ends.until_heard("bells", 2)
    assert ends.heard["bells"] == 2


async def test_a_connection_that_is_lost_is_opened_again_and_all_look(ends: Ends) -> None:
    for channel in CHANNELS:
        ends.hear(channel)
        await ends.until_heard(channel, 1)
    await ends.database.write(lambda c: c.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {_NEAR}"))
    for channel in CHANNELS:
        await ends.until_heard(channel, 2)
        ends.far.notify(channel)
        await ends.until_heard(channel, 3)


@pytest.mark.parametrize("left", [1, 2])
async def test_the_connection_goes_with_the_last_who_listens(ends: Ends, left: int) -> None:
    for channel in CHANNELS:
        ends.hear(channel)
        await ends.until_heard(channel, 1)
    for channel in CHANNELS[:left]:
        await ends.near.unlisten(channel)

    async def gone() -> bool:
        return await ends.count_connections() == len(CHANNELS[left:])

    await wait_until(gone)
    ends.far.notify(CHANNELS[0])
    if left < len(CHANNELS):
        ends.far.notify(CHANNELS[1])
        await ends.until_heard(CHANNELS[1], 2)
    assert ends.heard[CHANNELS[0]] == 1


async def test_what_is_untold_is_told_before_the_connection_goes(ends: Ends) -> None:
    ends.hear("bells")
    await ends.until_heard("bells", 1)
    told: list[bool] = []
    ends.far.listen("whistles", lambda: told.append(True))

    async def heard(times: int) -> bool:
        return len(told) >= times

    await wait_until(lambda: heard(1))
    ends.near.notify("whistles")
    await ends.near.unlisten("bells")
    await wait_until(lambda: heard(2))
    await ends.far.unlisten("whistles")
