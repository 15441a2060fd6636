"""``dagbook query`` as a step: it fails with rows, and the mail about the failure has them."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.mailserver import mail_server
from tests.process.program import Program

CHECK = """
smtp: {{host: 127.0.0.1, port: {port}}}
mailOn: {{failure: true}}
errorMail: {{from: a@example.org, to: b@example.org, attachLogs: true}}
env: [{{DAGBOOK_HOME: {home}}}, {{DAGBOOK_DATABASE_URL: "{url}"}}]
steps:
  - name: check
    command: {python} -P -m dagbook query {file} --fail-if-rows
"""
PYTHON = sys.executable


async def test_rows_fail_the_step_and_are_in_its_mail(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "failed.sql"
    file.write_text("SELECT run_id, status FROM report_v1_runs WHERE status = 'failed'\n")
    program.api.start("steps: ['true']\n", name="good", run_id="good1")
    program.api.ended("good1", name="good")
    async with mail_server() as server:
        url = program.database_url
        spec = CHECK.format(port=server.port, home=program.home, url=url, python=PYTHON, file=file)
        program.api.start(spec, run_id="clean")
        assert program.api.ended("clean")["statusLabel"] == "succeeded"
        program.api.start("steps: ['false']\n", name="bad", run_id="bad1")
        program.api.ended("bad1", name="bad")
        program.api.start(spec, run_id="found")
        run = program.api.ended("found")
        assert (run["statusLabel"], run["nodes"][0]["error"]) == ("failed", "exit status 2")
        assert "bad1    failed" in program.api.log("found", "check")
        [mail] = await server.received(1)
        assert any(b"bad1    failed" in content for content in mail.attachments.values())
