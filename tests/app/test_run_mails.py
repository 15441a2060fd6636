"""Mails of definitions are deliveries: stored with what causes them, and sent until a mail server has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook import tries
from dagbook.db.database import WriteConnection
from dagbook.main import Server
from dagbook.runs.notifications import mailer
from tests.app.dagbook import Dagbook, client_of, serving
from tests.mailserver import HOST, MailServer, mail_server
from tests.waiting import wait_until

SPEED = 300
BAD = "steps: [{name: b, command: 'exit 3'}]\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "SPEED", SPEED)


@pytest.fixture
async def sink() -> AsyncIterator[MailServer]:
    async with mail_server() as opened:
        yield opened


def _spec(port: int, steps: str = BAD, to: str = "error@example.test") -> str:
    return (
        f"smtp: {{host: {HOST}, port: {port}}}\n"
        f"errorMail: {{from: robot@example.test, to: '{to}'}}\nmailOn: {{failure: true}}\n{steps}"
    )


async def _receipts(client: httpx.AsyncClient, name: str, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/dag-runs/{name}/{run_id}/alerts")).json()["receipts"]
    return found


def _sent(client: httpx.AsyncClient, name: str, run_id: str, count: int = 1) -> Callable[[], Any]:
    async def look() -> list[dict[str, Any]] | None:
        found = await _receipts(client, name, run_id)
        return found if sum(each["status"] == "sent" for each in found) >= count else None

    return look


async def _run(dagbook: Dagbook, spec: str) -> str:
    return str((await dagbook.run(spec)).details["dagRunId"])


async def test_a_mail_has_a_receipt(dagbook: Dagbook, sink: MailServer) -> None:
    run_id = await _run(dagbook, _spec(sink.port))
    (receipt,) = await wait_until(_sent(dagbook.client, dagbook.name, run_id))
    assert {name: receipt[name] for name in ("channel", "type", "purpose", "tries", "mail")} == {
        "channel": f"{HOST}:{sink.port}",
        "type": "mail",
        "purpose": "run_mail",
        "tries": 1,
        "mail": "failure",
    }
    assert [attempt["code"] for attempt in receipt["attempts"]] == [250]
    (mail,) = sink.mails
    assert mail.message["Message-ID"] == f"<{receipt['id']}@dagbook>"


async def test_a_mail_that_is_not_accepted_is_sent_again_until_it_is(dagbook: Dagbook, sink: MailServer) -> None:
    sink.answers = ["451 later", "421 later"]
    run_id = await _run(dagbook, _spec(sink.port))
    (receipt,) = await wait_until(_sent(dagbook.client, dagbook.name, run_id))
    assert [attempt["code"] for attempt in receipt["attempts"]] == [451, 421, 250]
    (mail,) = sink.mails
    assert mail.subject == f"{dagbook.name} (failed)"
    assert "exit status 3" in mail.text


async def test_a_mail_that_a_server_refuses_is_given_up(dagbook: Dagbook, sink: MailServer) -> None:
    sink.refuses.add("error@example.test")
    run_id = await _run(dagbook, _spec(sink.port))

    async def given_up() -> list[dict[str, Any]] | None:
        found = await _receipts(dagbook.client, dagbook.name, run_id)
        return found if found[0]["status"] == "failed" else None

    (receipt,) = await wait_until(given_up)
    assert [attempt["code"] for attempt in receipt["attempts"]] == [550, 550, 550]
    assert "no such mailbox" in receipt["attempts"][0]["text"]


async def test_while_a_mail_server_fails_the_mails_of_other_runs_wait_for_it(
    dagbook: Dagbook, sink: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "SPEED", 1)  # its first pause is 4 to 6 s long
    sink.answers = ["451 later"]
    first = await _run(dagbook, _spec(sink.port))

    async def tried() -> bool:
        return bool((await _receipts(dagbook.client, dagbook.name, first))[0].get("attempts"))

    await wait_until(tried)
    others = [await _run(dagbook, _spec(sink.port)) for _ in range(3)]
    assert not sink.mails
    assert "nextTryAt" not in (await _receipts(dagbook.client, dagbook.name, first))[0]
    waiting = [(await _receipts(dagbook.client, dagbook.name, run_id))[0] for run_id in others]
    assert [(each["status"], each["tries"]) for each in waiting] == [("pending", 0)] * 3
    await sink.received(4)


async def test_a_mail_that_was_sent_is_sent_again_on_request(dagbook: Dagbook, sink: MailServer) -> None:
    run_id = await _run(dagbook, _spec(sink.port))
    (receipt,) = await wait_until(_sent(dagbook.client, dagbook.name, run_id))
    answer = await dagbook.client.post(f"/alert-deliveries/{receipt['id']}/resend")
    assert answer.status_code == 200
    first, second = await sink.received(2)
    assert first.message["Message-ID"] == second.message["Message-ID"]


async def test_the_mail_of_a_process_that_ended_is_sent_from_the_rows_of_the_run(
    database_url: str, tmp_path: Path, sink: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer, "_LAST_WAIT_SECONDS", 0.05)
    spec = (
        "params: WHO=ops\nenv: [WHERE: example.test]\nsecrets: [{name: WORD, provider: env, key: MAIL_TEST_WORD}]\n"
        + _spec(sink.port, "steps: [{name: b, command: 'echo $WORD >&2; exit 3'}]\n", to="${WHO}@${WHERE}")
    )
    monkeypatch.setenv("MAIL_TEST_WORD", "open-sesame-4711")
    sink.hold.clear()
    async with serving(database_url, tmp_path) as server:
        run_id = await _run(Dagbook(client_of(server), "left"), spec)
        await sink.holding.wait()
    monkeypatch.delenv("MAIL_TEST_WORD")
    sink.hold.set()
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        (receipt,) = await wait_until(_sent(client, "left", run_id))
    mail = sink.mails[-1]
    assert (mail.subject, mail.to) == ("left (failed)", ["ops@example.test"])
    assert "exit status 3" in mail.text
    assert "open-sesame" not in mail.raw.decode()
    assert {each.message["Message-ID"] for each in sink.mails} == {f"<{receipt['id']}@dagbook>"}


async def test_a_mail_about_a_run_whose_definition_was_redacted_says_why_it_was_not_sent(
    dagbook: Dagbook, server: Server, sink: MailServer
) -> None:
    sink.answers = ["451 later"] * 100
    run_id = await _run(dagbook, _spec(sink.port))

    async def tried() -> bool:
        return bool((await _receipts(dagbook.client, dagbook.name, run_id))[0].get("attempts"))

    await wait_until(tried)

    def redact(connection: WriteConnection) -> None:
        connection.exec_driver_sql(
            "UPDATE definitions SET spec = NULL, redacted_at = created_at, redacted_by = 'me' WHERE hash = "
            "(SELECT definition_hash FROM runs ORDER BY id DESC LIMIT 1)"
        )

    await server.services.runs.database.write(redact)

    async def given_up() -> dict[str, Any] | None:
        (found,) = await _receipts(dagbook.client, dagbook.name, run_id)
        return found if found["status"] == "failed" else None

    receipt = await wait_until(given_up)
    assert receipt["attempts"][-1]["text"] == "its definition was redacted or deleted"
    assert not sink.mails
