"""Header and body in one write. The transport is a stand-in: outside of it the end of a write cannot be seen."""

from __future__ import annotations

import asyncio

from dagbook.server.transport import SingleWriteTransport


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str, default: object = None) -> object:  # noqa: ARG002 - given by the interface
        return f"the transport's {name}"


def over(wire: Wire) -> SingleWriteTransport:
    return SingleWriteTransport(wire, asyncio.get_running_loop())


async def next_round() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_head_and_body_leave_in_one_write() -> None:
    wire = Wire()
    one = over(wire)
    one.write(b"head")
    one.write(b"body")
    await next_round()
    assert wire.writes == [b"headbody"]


async def test_a_head_whose_body_takes_its_time_does_not_wait_for_it() -> None:
    wire = Wire()
    one = over(wire)
    one.write(b"head")
    assert wire.writes == []
    await next_round()
    assert wire.writes == [b"head"]
    one.write(b"body")
    await next_round()
    assert wire.writes == [b"head", b"body"]


async def test_many_writes_keep_their_order() -> None:
    wire = Wire()
    one = over(wire)
    for part in (b"1", b"2", b"", b"3", b"4", b"5"):
        one.write(part)
    await next_round()
    assert b"".join(wire.writes) == b"12345"


async def test_closing_sends_first_what_was_held() -> None:
    wire = Wire()
    one = over(wire)
    one.write(b"head")
    one.close()
    await next_round()
    assert (wire.writes, wire.closed) == ([b"head"], True)


async def test_nothing_is_sent_to_who_has_gone() -> None:
    wire = Wire()
    one = over(wire)
    one.write(b"head")
    wire.closed = True
    await next_round()
    assert wire.writes == []


async def test_everything_else_is_the_transports_own() -> None:
    assert over(Wire()).get_extra_info("peername") == "the transport's peername"
