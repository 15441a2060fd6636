"""``dagbook mail-sink``: mails of any program of this machine are printed, and nothing that they contain does more."""

from __future__ import annotations

import os
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

import pytest

from dagbook.cli.server.mail_sink import Attached, describe
from tests.conftest import ROOT
from tests.waiting import PATIENCE_SECONDS


@contextmanager
def _sink(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a sink; gives the process and its port."""
    command = [sys.executable, "-m", "dagbook", "mail-sink", "--port", "0", *options]
    env = os.environ | {"PYTHONPATH": f"{ROOT}/app"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            assert line.startswith("Mails to 127.0.0.1:"), line
            yield process, int(line.removeprefix("Mails to 127.0.0.1:").split()[0])
        finally:
            process.kill()


def _mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "robot@example.org", "ann@example.org", "[dagbook] load (failed)"
    mail.set_content("exit status 28\n\x1b]0;title\x07")
    mail.add_alternative("<p>exit status 28</p>", subtype="html")
    mail.add_attachment(b"no space\n", maintype="text", subtype="plain", filename="load.err")
    return mail


def test_a_mail_is_printed_and_cannot_control_the_terminal() -> None:
    with _sink() as (process, port):
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE_SECONDS) as client:
            client.send_message(_mail())
            refused = _mail()
            refused.add_attachment(b"x" * 16 * 1024 * 1024, maintype="application", subtype="x")
            with pytest.raises(smtplib.SMTPException):
                client.send_message(refused)
        process.terminate()
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    lines = out.splitlines()
    assert lines[:3] == ["From: robot@example.org", "To: ann@example.org", "Subject: [dagbook] load (failed)"]
    assert "exit status 28" in lines
    assert "\\u001b]0;title\\u0007" in lines
    assert "[load.err, 9 B]" in lines
    assert out.count("Subject:") == 1
    assert process.returncode == 0


def test_a_port_that_is_taken_is_told() -> None:
    with _sink() as (_, port):
        command = [sys.executable, "-m", "dagbook", "mail-sink", "--port", str(port)]
        env = os.environ | {"PYTHONPATH": f"{ROOT}/app"}
        said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert said.returncode == 1
    assert said.stderr.startswith(f"Error: port {port} of 127.0.0.1 cannot be used: ")


def test_a_mail_has_its_text_and_the_sizes_of_its_files() -> None:
    mail = describe(_mail().as_bytes())
    assert (mail.sender, mail.subject) == ("robot@example.org", "[dagbook] load (failed)")
    assert mail.text.startswith("exit status 28\n")
    assert mail.attachments == [Attached("load.err", 9)]


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"no header", b"Content-Type: text/plain; charset=nosuch\n\nx", b"Content-Type: multipart/mixed\n\nx"],
    ids=str,
)
def test_what_is_no_mail_is_shown_all_the_same(content: bytes) -> None:
    assert isinstance(describe(content).text, str)
