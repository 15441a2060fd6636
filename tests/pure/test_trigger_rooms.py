"""How many events of a trigger may start, without a count for each."""

from __future__ import annotations

import pytest

from dagbook.triggers.dispatch import Rooms


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rooms(clock: Clock) -> Rooms:
    found = Rooms(clock)
    found.put(1, 3)
    return found


def test_what_has_started_takes_room(rooms: Rooms) -> None:
    rooms.take(1)
    rooms.take(1)
    assert (rooms.get(1), rooms.get(2)) == (1, None)


def test_room_is_counted_again_after_a_second(rooms: Rooms, clock: Clock) -> None:
    clock.now += 0.9
    rooms.take(1)  # which does not make the count newer
    assert rooms.get(1) == 2
    clock.now += 0.1
    assert rooms.get(1) is None
