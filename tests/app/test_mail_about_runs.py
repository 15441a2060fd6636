"""Mails about runs and steps: mailOn, errorMail, infoMail, mailOnError, attachLogs (runtime 27)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dagbook.db.repositories.runs import runs
from dagbook.main import Server
from dagbook.runs.model import RetryOptions
from dagbook.runs.notifications import mail_content, mailer
from tests.app.dagbook import Dagbook, client_of, serving
from tests.mailserver import HOST, PASSWORD, USER, MailServer, Silent, listening, mail_server
from tests.waiting import wait_until


@pytest.fixture
async def sink() -> AsyncIterator[MailServer]:
    async with mail_server() as opened:
        yield opened


def _spec(port: int, steps: str, *, smtp: str = "", mail: str = "", on: str = "{failure: true, success: true}") -> str:
    return f"""
smtp: {{host: {HOST}, port: {port}{smtp}}}
errorMail: {{from: robot@example.test, to: [error@example.test], prefix: '[ERR]'{mail}}}
infoMail: {{from: robot@example.test, to: info@example.test, prefix: '[INFO]'{mail}}}
mailOn: {on}
steps:
{steps}
"""


GOOD, BAD = "  - {name: a, command: echo fine}\n", "  - {name: b, command: echo bad; exit 3}\n"


async def _one(sink: MailServer) -> tuple[str, list[str]]:
    (mail,) = await sink.received()
    return mail.subject, mail.to


async def test_a_run_that_succeeds_sends_the_info_mail(dagbook: Dagbook, sink: MailServer) -> None:
    await dagbook.run(_spec(sink.port, GOOD))
    assert await _one(sink) == (f"[INFO] {dagbook.name} (succeeded)", ["info@example.test"])


async def test_a_run_that_fails_sends_the_error_mail(dagbook: Dagbook, sink: MailServer) -> None:
    await dagbook.run(_spec(sink.port, BAD))
    assert await _one(sink) == (f"[ERR] {dagbook.name} (failed)", ["error@example.test"])


async def test_a_tolerated_failure_sends_the_error_mail(dagbook: Dagbook, sink: MailServer) -> None:
    tolerated = BAD.replace("exit 3", "exit 3, continueOn: failed")
    await dagbook.run(_spec(sink.port, tolerated + GOOD))
    assert await _one(sink) == (f"[ERR] {dagbook.name} (partially_succeeded)", ["error@example.test"])


async def test_a_stopped_run_whose_step_was_ended_sends_the_error_mail(dagbook: Dagbook, sink: MailServer) -> None:
    run_id = await dagbook.start(_spec(sink.port, "  - {name: a, command: echo up; sleep 60}\n"))
    await dagbook.running(run_id, "a", "up")
    await dagbook.stop(run_id)
    assert await _one(sink) == (f"[ERR] {dagbook.name} (aborted)", ["error@example.test"])


async def test_a_run_that_was_not_to_begin_sends_nothing(dagbook: Dagbook, sink: MailServer) -> None:
    await dagbook.run("preconditions: ['false']\n" + _spec(sink.port, GOOD))
    await dagbook.run(_spec(sink.port, GOOD))  # its mail would come after one about the run before
    assert await _one(sink) == (f"[INFO] {dagbook.name} (succeeded)", ["info@example.test"])


async def test_the_mail_comes_after_the_handlers_and_tells_what_they_made_of_the_run(
    dagbook: Dagbook, sink: MailServer
) -> None:
    ended = await dagbook.run(_spec(sink.port, GOOD) + "handlerOn: {exit: {command: exit 1}}\n")
    (mail,) = await sink.received()
    assert mail.subject == f"[ERR] {dagbook.name} (failed)"
    assert ended.details["dagRunId"] in mail.html
    assert "exit status 1" in mail.html


async def test_the_mail_tells_the_evaluated_commands(dagbook: Dagbook, sink: MailServer) -> None:
    await dagbook.run("params: WHO=world\n" + _spec(sink.port, "  - {name: a, command: 'echo hello ${WHO}'}\n"))
    (mail,) = await sink.received()
    assert "echo hello world" in mail.html
    assert "WHO=world" in mail.html
    assert "echo hello world" in mail.text


async def test_the_mail_tells_the_line_that_the_shell_was_given(dagbook: Dagbook, sink: MailServer) -> None:
    steps = "  - name: a\n    command: echo ${WHO} | tr -dc '0-9\\n'\n"
    await dagbook.run("params: WHO=5\n" + _spec(sink.port, steps))
    (mail,) = await sink.received()
    assert "   echo 5 | tr -dc '0-9\\n'\n" in mail.text


async def test_a_failed_step_may_send_a_mail_of_its_own_while_the_run_goes_on(
    dagbook: Dagbook, sink: MailServer, tmp_path: Path
) -> None:
    steps = f"""
  - {{name: bad, command: exit 3, mailOnError: true, depends: []}}
  - {{name: long, command: until test -e {tmp_path}/go; do sleep 0.01; done, depends: []}}
"""
    spec = "type: graph\n" + _spec(sink.port, steps.replace(", depends: []", ""), on="{}")
    run_id = await dagbook.start(spec)
    assert await _one(sink) == (f"[ERR] {dagbook.name} (running)", ["error@example.test"])
    (tmp_path / "go").touch()
    ended = await dagbook.finished(run_id)
    assert ended.status == "failed"
    assert len(sink.mails) == 1


async def test_the_mail_of_a_step_comes_on_top_of_that_of_the_run(dagbook: Dagbook, sink: MailServer) -> None:
    await dagbook.run(_spec(sink.port, BAD.replace("exit 3", "exit 3, mailOnError: true")))
    mails = await sink.received(2)
    assert [mail.subject for mail in mails] == [f"[ERR] {dagbook.name} (failed)"] * 2


async def test_a_step_that_is_tried_again_sends_its_mail_when_it_is_given_up(
    dagbook: Dagbook, sink: MailServer
) -> None:
    steps = BAD.replace("exit 3", "exit 3, mailOnError: true, retryPolicy: {limit: 2, intervalSec: 0}")
    ended = await dagbook.run(_spec(sink.port, steps, on="{failure: true}"))
    assert ended.nodes["b"]["retryCount"] == 2
    assert len(await sink.received(2)) == 2


async def test_server_and_addresses_are_evaluated(dagbook: Dagbook, sink: MailServer) -> None:
    spec = "params: WHO=ops\nenv: [WHERE: example.test]\n" + _spec(sink.port, GOOD)
    await dagbook.run(spec.replace("info@example.test", "'${WHO}@${WHERE}'"))
    assert await _one(sink) == (f"[INFO] {dagbook.name} (succeeded)", ["ops@example.test"])


async def test_the_password_is_evaluated(dagbook: Dagbook) -> None:
    async with mail_server(login=True, auth_require_tls=False) as sink:
        spec = _spec(sink.port, GOOD, smtp=f", username: {USER}, password: '${{MAIL_WORD}}'")
        await dagbook.run(f"env: [MAIL_WORD: {PASSWORD}]\n" + spec)
        (mail,) = await sink.received()
        assert mail.login == USER
        assert PASSWORD not in mail.html


async def test_a_called_run_sends_mails_under_its_own_settings(dagbook: Dagbook, sink: MailServer) -> None:
    child = f"{dagbook.name}-child"
    ended = await dagbook.run(f"steps: [{{name: c, call: {child}}}]\n---\nname: {child}\n{_spec(sink.port, BAD)}")
    assert ended.status == "failed"
    (mail,) = await sink.received()
    assert (mail.subject, mail.to) == (f"[ERR] {child} (failed)", ["error@example.test"])
    assert mail.text.count("\nLook: ") == 1


async def test_the_mail_links_to_the_page_of_the_run_which_of_a_called_run_is_below_its_root(
    database_url: str, tmp_path: Path, sink: MailServer
) -> None:
    child = f"steps: [{{call: child}}]\n---\nname: child\n{_spec(sink.port, BAD)}"
    start = {"name": "top", "spec": child, "dagRunId": "r1"}
    given = {"public_url": "https://dags.example/x"}
    async with serving(database_url, tmp_path, **given) as server, client_of(server) as client:
        assert (await client.post("/dag-runs", json=start)).status_code == 200
        (mail,) = await sink.received()
    sub_run = mail.text.partition("Run: ")[2].split()[0]
    assert f"Page:     https://dags.example/x/dag-runs/top/r1/{sub_run}\n" in mail.text


async def test_without_a_public_address_the_link_is_the_one_that_the_server_listens_on(
    database_url: str, tmp_path: Path, sink: MailServer
) -> None:
    start = {"name": "top", "spec": _spec(sink.port, BAD), "dagRunId": "r1"}
    async with serving(database_url, tmp_path, allowed_hosts="evil.example") as server, client_of(server) as client:
        assert (await client.post("/dag-runs", json=start, headers={"Host": "evil.example"})).status_code == 200
        (mail,) = await sink.received()
    assert "Page:     http://localhost/dag-runs/top/r1\n" in mail.text
    assert "Look:     dagbook why top r1\n" in mail.text  # at a terminal of the server, where no browser reaches it
    assert "evil" not in mail.raw.decode()


# -- logs ------------------------------------------------------------------------------------------------------------


async def test_the_logs_of_all_steps_that_wrote_something_are_attached(dagbook: Dagbook, sink: MailServer) -> None:
    steps = GOOD + "  - {name: quiet, command: 'echo err >&2'}\n" + BAD
    spec = _spec(sink.port, steps, mail=", attachLogs: true") + "handlerOn: {exit: {command: echo handler}}\n"
    await dagbook.run(spec)
    (mail,) = await sink.received()
    assert mail.attachments == {"a.out": b"fine\n", "b.out": b"bad\n"}


async def test_a_log_is_attached_whole(dagbook: Dagbook, sink: MailServer) -> None:
    await dagbook.run(_spec(sink.port, "  - {name: a, command: seq 100000}\n", mail=", attachLogs: true"))
    (mail,) = await sink.received()
    assert mail.attachments["a.out"] == "".join(f"{number}\n" for number in range(1, 100_001)).encode()


async def test_of_logs_that_are_too_long_the_ends_are_attached(
    dagbook: Dagbook, sink: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_content, "LOGS_BYTES", 1000)
    steps = "  - {name: a, command: seq 1000}\n  - {name: b, command: seq 10}\n"
    await dagbook.run(_spec(sink.port, steps, mail=", attachLogs: true"))
    (mail,) = await sink.received()
    assert mail.attachments["b.out"] == "".join(f"{number}\n" for number in range(1, 11)).encode()
    first, *lines = mail.attachments["a.out"].decode().splitlines()
    whole = "".join(f"{number}\n" for number in range(1, 1001))
    kept = "".join(f"{line}\n" for line in lines)
    assert whole.endswith(kept)
    assert 900 < len(kept) <= 1000 - len(mail.attachments["b.out"])
    assert first == f"[the first {len(whole) - len(kept)} bytes are left out]"


async def test_a_retry_attaches_the_logs_of_the_steps_that_it_kept(
    dagbook: Dagbook, server: Server, sink: MailServer, tmp_path: Path
) -> None:
    steps = GOOD + f"  - {{name: b, command: echo second; test -e {tmp_path}/mended}}\n"
    run_id = await dagbook.start(_spec(sink.port, steps, mail=", attachLogs: true"))
    await sink.received()
    (tmp_path / "mended").touch()
    run = await server.services.runs.database.read(lambda connection: runs.get(connection, dagbook.name, run_id))
    assert run is not None
    await server.supervisor.active_runs.retry(run.id, RetryOptions(attempt=2))
    mail = (await sink.received(2))[1]
    assert mail.subject == f"[INFO] {dagbook.name} (succeeded)"
    assert mail.attachments == {"a.out": b"fine\n", "b.out": b"second\n"}


# -- mails that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("port: ", "port: '1' #"), "cannot be reached: connection refused"),
        (("info@example.test", "'${NOBODY}'"), "to: "),
        (("host: 127.0.0.1", "host: '`exit 7`'"), "exit status 7"),
        # A command that starts when an inline run without mails would have lost its directory.
        (("host: 127.0.0.1", "host: '`sleep 0.3; echo ::1`', username: '`exit 7`'"), "exit status 7"),
        (("from: robot@example.test, ", ""), "from: is missing"),
    ],
)
async def test_a_mail_that_fails_is_logged_and_changes_nothing(
    dagbook: Dagbook, sink: MailServer, caplog: pytest.LogCaptureFixture, change: tuple[str, str], reason: str
) -> None:
    spec = _spec(sink.port, GOOD).replace(*change) if change[0] != "port: " else _spec(1, GOOD)

    async def logged() -> str:
        return "".join(record.getMessage() for record in caplog.records if "mail about run" in record.getMessage())

    ended = await dagbook.run(spec)
    assert f"{dagbook.name}/{ended.details['dagRunId']} failed: " in await wait_until(logged)
    assert reason in await logged()
    assert (await dagbook.get(ended.details["dagRunId"]))["statusLabel"] == "succeeded"
    assert not sink.mails


# -- the end of a server ---------------------------------------------------------------------------------------------


async def test_a_server_that_ends_waits_for_its_mails(database_url: str, tmp_path: Path) -> None:
    async with mail_server() as sink:
        sink.hold.clear()
        async with serving(database_url, tmp_path) as server:
            dagbook = Dagbook(client_of(server), "waits")
            await dagbook.run(_spec(sink.port, GOOD))
            await sink.holding.wait()
            asyncio.get_running_loop().call_soon(sink.hold.set)
        assert await _one(sink) == ("[INFO] waits (succeeded)", ["info@example.test"])


async def test_a_server_that_ends_does_not_wait_for_ever(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mailer, "_LAST_WAIT_SECONDS", 0.05)
    caplog.set_level(logging.WARNING)
    async with listening(Silent) as port, serving(database_url, tmp_path) as server:
        await Dagbook(client_of(server), "hangs").run(_spec(port, GOOD))
    assert "the mail about run hangs/" in caplog.text
    assert "the server ended" in caplog.text
