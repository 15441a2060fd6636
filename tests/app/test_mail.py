"""Steps of type ``mail``, as users write them (DAG format 4.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.dagbook import Dagbook
from tests.mailserver import PASSWORD, USER, MailServer, mail_server


@pytest.fixture
async def sink() -> AsyncIterator[MailServer]:
    async with mail_server() as opened:
        yield opened


def _spec(sink: MailServer, config: str, *, smtp: str = "", more: str = "") -> str:
    return f"""
smtp: {{host: 127.0.0.1, port: {sink.port}{smtp}}}
{more}
steps:
  - name: m
    executor:
      type: mail
      config: {{from: robot@example.test, {config}}}
"""


async def test_a_mail_is_sent_to_all_its_recipients(dagbook: Dagbook, sink: MailServer) -> None:
    config = "to: [ops@example.test, boss@example.test], subject: Hi, message: All is well."
    ended = await dagbook.run(_spec(sink, config))
    assert ended.status == "succeeded"
    (mail,) = sink.mails
    assert (mail.to, mail.subject, mail.html) == (["ops@example.test", "boss@example.test"], "Hi", "All is well.\n")


async def test_the_log_shows_the_mail_and_that_it_went(dagbook: Dagbook, sink: MailServer) -> None:
    config = 'to: ops@example.test, subject: Hi, message: "one\\ntwo"'
    ended = await dagbook.run(_spec(sink, config))
    assert (await ended.log("m")).split("\n") == [
        "-----",
        "from: robot@example.test",
        "to: ops@example.test",
        "subject: Hi",
        "message: one",
        "two",
        "-----",
        "the mail was sent",
    ]
    assert await ended.log("m", "stderr") == ""


async def test_the_message_is_html_whose_lines_stay_apart(dagbook: Dagbook, sink: MailServer) -> None:
    await dagbook.run(_spec(sink, 'to: ops@example.test, message: "one\\n<b>two</b>\\n"'))
    assert sink.mails[0].html == "one<br />\n<b>two</b>\n"


async def test_keys_are_read_whatever_their_case_and_values_are_evaluated(dagbook: Dagbook, sink: MailServer) -> None:
    config = "TO: '${WHO}@example.test', Subject: 42, MESSAGE: 'for ${WHO}'"
    await dagbook.run(_spec(sink, config, more="params: WHO=ops"))
    (mail,) = sink.mails
    assert (mail.to, mail.subject, mail.html) == (["ops@example.test"], "42", "for ops\n")


async def test_the_server_is_evaluated_with_params_environment_and_commands(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    smtp = ", username: '${WHO}', password: '`cat ${WHERE}/password`'"
    async with mail_server(login=True, auth_require_tls=False) as sink:
        ended = await dagbook.run(
            _spec(sink, "to: ops@example.test", smtp=smtp, more=f"params: WHO={USER}\nenv: [WHERE: {tmp_path}]")
        )
        assert (ended.status, [mail.login for mail in sink.mails]) == ("succeeded", [USER])


async def test_attachments_are_found_from_the_steps_directory(
    dagbook: Dagbook, sink: MailServer, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "table.csv").write_bytes(b"a,b\n\xff")
    (tmp_path / "whole").write_bytes(b"x")
    config = f"to: ops@example.test, attachments: [sub/table.csv, {tmp_path}/whole, '']"
    ended = await dagbook.run(_spec(sink, config, more=f"workingDir: {tmp_path}"))
    assert ended.status == "succeeded"
    assert sink.mails[0].attachments == {"table.csv": b"a,b\n\xff", "whole": b"x"}
    assert "attachment: table.csv (5 bytes)" in await ended.log("m")


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ("subject: x", "mail: to: is missing"),
        ("to: ' '", "mail: to: is missing"),
        ("to: []", "mail: to: is missing"),
        ("to: 5", "mail: to: expected an address, or a list of them"),
        ("to: {a: b}", "mail: to: expected an address, or a list of them"),
        ("to: 'a@x.test, b@x.test'", 'mail: to: "a@x.test, b@x.test" is not a mail address'),
        ("to: a@x.test, message: [x]", "mail: message: expected a text"),
        ("to: a@x.test, attachments: [gone.txt]", 'mail: attachments: "gone.txt": no such file or directory'),
        ("to: a@x.test, attachments: [/]", 'mail: attachments: "/" is not a file'),
        ("to: a@x.test, attachments: [/dev/zero]", 'mail: attachments: "/dev/zero" is not a file'),
        ("to: a@x.test, attachments: [huge]", "mail: attachments: hold more than 10485760 bytes"),
    ],
)
async def test_a_step_that_cannot_be_sent_fails_and_names_the_field(
    dagbook: Dagbook, sink: MailServer, tmp_path: Path, config: str, error: str
) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(10_485_761)
    ended = await dagbook.run(_spec(sink, config, more=f"workingDir: {tmp_path}"))
    assert ended.status == "failed"
    assert error in ended.nodes["m"]["error"]
    assert not sink.mails


async def test_a_mail_needs_a_sender(dagbook: Dagbook, sink: MailServer) -> None:
    ended = await dagbook.run(_spec(sink, "to: ops@example.test").replace("from: robot@example.test,", ""))
    assert ended.nodes["m"]["error"].startswith("mail: from: is missing")


async def test_a_mail_needs_a_server(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: m, executor: {type: mail, config: {from: a@x.test, to: b@x.test}}}]\n")
    assert "mail: the DAG names no mail server; add smtp:" in ended.nodes["m"]["error"]


async def test_a_refused_mail_fails_its_step_with_exit_code_1(dagbook: Dagbook, sink: MailServer) -> None:
    sink.refuses = {"ops@example.test"}
    spec = _spec(sink, "to: ops@example.test") + "    continueOn: {exitCode: [1], markSuccess: true}\n"
    ended = await dagbook.run(spec)
    assert ended.statuses == ["succeeded"]
    assert "550 no such mailbox" in ended.nodes["m"]["error"]
    assert await ended.log("m", "stderr") == "the mail was not sent"


async def test_a_mail_that_fails_is_sent_again_by_its_retry_policy(dagbook: Dagbook, sink: MailServer) -> None:
    sink.answers = ["451 later", "451 later"]
    ended = await dagbook.run(_spec(sink, "to: ops@example.test") + "    retryPolicy: {limit: 2, intervalSec: 0}\n")
    assert (ended.status, ended.nodes["m"]["retryCount"]) == ("succeeded", 2)
    assert len(sink.mails) == 1


async def test_a_wrong_password_shows_nowhere(dagbook: Dagbook) -> None:
    async with mail_server(login=True, auth_require_tls=False) as sink:
        smtp = f", username: {USER}, password: hunter2"
        ended = await dagbook.run(_spec(sink, "to: ops@example.test", smtp=smtp))
        assert ended.status == "failed"
        assert "refused smtp.username and smtp.password" in ended.nodes["m"]["error"]
        assert "hunter2" not in str(ended.details) + await ended.log("m") + await ended.log("m", "stderr")
