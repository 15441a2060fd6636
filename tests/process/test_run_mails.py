"""The mail of a definition arrives although its mail server, or the process of its run, is gone when the run ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from tests.process.program import Program
from tests.process.waiting import wait_for

HOST = "127.0.0.1"
SPEC = """
smtp: {{host: {host}, port: {port}}}
errorMail: {{from: robot@example.test, to: ops@example.test}}
mailOn: {{failure: true}}
steps: [{{name: bad, command: exit 3}}]
"""


class Kept(Message):
    """What a mail server is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    def handle_message(self, message: Any) -> None:
        self.ids.append(str(message["Message-ID"]))


@contextmanager
def _mail_server(port: int) -> Iterator[Kept]:
    kept = Kept()
    controller = Controller(kept, hostname=HOST, port=port)
    controller.start()
    try:
        yield kept
    finally:
        controller.stop()


def _receipt(program: Program, run_id: str) -> dict[str, Any]:
    found = program.api.client.get(f"/dag-runs/flow/{run_id}/alerts").json()["receipts"]
    return dict(found[0]) if found else {"tries": 0}  # it has none before its end


def _is_sent(program: Program, run_id: str) -> bool:
    return bool(_receipt(program, run_id)["status"] == "sent")


def test_the_mail_of_a_server_that_is_killed_while_it_sends_is_sent_by_the_next(program: Program) -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        run_id = program.api.start(SPEC.format(host=HOST, port=port))
        wait_for("a try", lambda: _receipt(program, run_id)["tries"] == 1)
        program.kill()
    with _mail_server(port) as kept:
        program.start()
        wait_for("the mail", lambda: _is_sent(program, run_id))
    assert kept.ids == [f"<{_receipt(program, run_id)['id']}@dagbook>"]


@pytest.mark.full
def test_a_mail_arrives_within_a_minute_of_the_return_of_its_mail_server(program: Program) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    run_id = program.api.start(SPEC.format(host=HOST, port=port))
    wait_for("three tries", lambda: _receipt(program, run_id)["tries"] >= 3)
    with _mail_server(port) as kept:
        began = time.monotonic()
        wait_for("the mail", lambda: _is_sent(program, run_id))
        assert time.monotonic() - began <= 60
    assert len(kept.ids) == 1
    assert _receipt(program, run_id)["attempts"][0]["text"].endswith("cannot be reached: connection refused")
