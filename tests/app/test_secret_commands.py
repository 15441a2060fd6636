"""Secrets that commands of the server print: when they run, what they get, and what becomes of their output."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dagbook.runs.evaluation import secret_commands
from tests.app.dagbook import Dagbook, FinishedRun, client_of, serving
from tests.app.test_secrets import ENCODED, MASK, VALUE, everything, is_stored
from tests.mailserver import HOST, mail_server
from tests.waiting import until_gone, until_written, wait_until

# Prints what it was called with into a file beside itself, a line for each argument, then does what the test says.
PROGRAM = """#!/bin/sh
printf '%s\\n' "$@" >> "$(dirname "$0")/called"
env > "$(dirname "$0")/env"
{body}
"""


class Provider:
    """A program of the server that gives secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "give"
        self.does(f"printf '%s\\n' '{VALUE}'")

    def does(self, body: str) -> None:
        self.path.write_text(PROGRAM.format(body=body))
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        called = self.folder / "called"
        return called.read_text().splitlines() if called.exists() else []


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    folder = tmp_path / "provider"
    folder.mkdir()
    return Provider(folder)


@asynccontextmanager
async def opened(url: str, home: Path, provider: Provider, **options: Any) -> AsyncIterator[Dagbook]:
    command = {"argv": [str(provider.path), "{key}"], **options}
    async with serving(url, home, secret_commands=json.dumps({"give": command})) as server, client_of(server) as client:
        yield Dagbook(client, "flow")


@pytest.fixture
async def flow(database_url: str, tmp_path: Path, provider: Provider) -> AsyncIterator[Dagbook]:
    async with opened(database_url, tmp_path / "home", provider, env={"OWN": "own value"}) as dagbook:
        yield dagbook


def spec_of(key: str, steps: str = "  - {name: a, command: printf x}\n", head: str = "") -> str:
    secret = {"name": "SEC", "provider": "give", "key": key}
    return f"secrets: [{json.dumps(secret)}]\n{head}\nsteps:\n{steps}"


async def log_of(run: FinishedRun) -> str:
    return str((await run.client.get(f"{run.path}/log")).json()["content"])


async def test_its_steps_get_what_the_command_prints_without_the_last_line_feed(
    flow: Dagbook, provider: Provider, tmp_path: Path
) -> None:
    ended = await flow.run(spec_of("prod/crm", f"  - {{name: a, command: 'printf %s \"$SEC\" > {tmp_path}/got'}}\n"))
    assert (ended.status, (tmp_path / "got").read_text()) == ("succeeded", VALUE)
    assert provider.calls == ["prod/crm"]
    given = dict(line.split("=", 1) for line in (provider.folder / "env").read_text().splitlines())
    assert {*given} - {"PWD", "SHLVL", "_", "OLDPWD"} <= {"PATH", "HOME", "LANG", "OWN"}
    assert given["OWN"] == "own value"


@pytest.mark.parametrize("key", ["x; touch p", "$(id)", "--help", "a\nb", "../../etc/passwd", "`id`"])
async def test_a_key_that_is_no_name_runs_nothing(flow: Dagbook, provider: Provider, key: str) -> None:
    ended = await flow.run(spec_of(key))
    assert (ended.status, ended.statuses) == ("failed", ["not_started"])
    assert "secret SEC: the key has other characters than" in await log_of(ended)
    assert provider.calls == []


async def test_a_key_of_a_megabyte_is_one_argument_or_an_error(flow: Dagbook, provider: Provider) -> None:
    ended = await flow.run(spec_of("k" * 1_000_000))
    log = await log_of(ended)
    assert (ended.status, provider.calls) == ("failed", [])
    assert "secret SEC: the command of 'give' cannot be started: Argument list too long" in log


async def test_a_command_that_hangs_fails_the_run_and_leaves_no_process(
    flow: Dagbook, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_commands, "LIMIT_SECONDS", 1.0)
    provider.does('sleep 1000 & echo $$ $! > "$(dirname "$0")/pids"; wait')
    begun = time.monotonic()
    ended = await flow.run(spec_of("a"))
    assert (ended.status, time.monotonic() - begun < 6) == ("failed", True)
    assert "secret SEC: the command of 'give' took longer than 1 seconds" in await log_of(ended)
    for pid in (await until_written(provider.folder / "pids")).split():
        await until_gone(int(pid))


def test_a_command_has_ten_seconds() -> None:
    assert secret_commands.LIMIT_SECONDS == 10


@pytest.mark.parametrize("last", ["exit 3", "sleep 1000", "exit 0"])
async def test_more_than_64_kib_is_no_secret(flow: Dagbook, provider: Provider, last: str) -> None:
    provider.does(f"head -c 1000000 /dev/zero | tr '\\0' x; {last}")
    ended = await flow.run(spec_of("a"))
    log = await log_of(ended)
    assert (ended.status, "xxx" in log) == ("failed", False)
    assert "secret SEC: the command of 'give' printed more than 64 KiB" in log


async def test_64_kib_are_a_secret(flow: Dagbook, provider: Provider, tmp_path: Path) -> None:
    provider.does("head -c 65536 /dev/zero | tr '\\0' x; echo")
    ended = await flow.run(spec_of("a", f"  - {{name: a, command: 'printf %s \"$SEC\" | wc -c > {tmp_path}/got'}}\n"))
    assert (ended.status, (tmp_path / "got").read_text().strip()) == ("succeeded", "65536")


async def test_a_failure_says_the_provider_and_its_words_and_never_a_value(flow: Dagbook, provider: Provider) -> None:
    provider.does(f"echo '{VALUE}'; echo 'no access for {VALUE}' with \"$OWN\" >&2; exit 3")
    ended = await flow.run(spec_of("a"))
    log = await log_of(ended)
    assert f"secret SEC: the command of 'give' ended with exit status 3: no access for {MASK} with {MASK}" in log
    assert VALUE not in await everything(ended)


async def test_what_is_no_text_or_has_nul_is_refused_as_of_other_providers(flow: Dagbook, provider: Provider) -> None:
    provider.does("printf 'a\\0b'")
    assert "NUL character" in await log_of(await flow.run(spec_of("a")))
    provider.does("printf '\\377\\376'")
    assert "not UTF-8 text" in await log_of(await flow.run(spec_of("a")))


async def test_a_program_that_is_missing_is_named(flow: Dagbook, provider: Provider) -> None:
    provider.path.unlink()
    ended = await flow.run(spec_of("a"))
    assert "the command of 'give' cannot be started: No such file or directory" in await log_of(ended)


async def test_its_value_is_masked_in_logs_outputs_errors_and_mails_in_every_form(
    database_url: str, tmp_path: Path, provider: Provider
) -> None:
    async with (
        serving(
            database_url, tmp_path / "home", secret_commands=json.dumps({"give": [str(provider.path), "{key}"]})
        ) as server,
        client_of(server) as client,
        mail_server() as sink,
    ):
        lines = ["  - name: a", "    output: OUT", "    command: |", *(f"      {each}" for each in ENCODED.values())]
        steps = "\n".join([*lines, '      echo "$SEC" >&2', "      exit 1"]) + "\n"
        head = (
            f"smtp: {{host: {HOST}, port: {sink.port}}}\n"
            "errorMail: {from: a@example.test, to: b@example.test, attachLogs: true}\nmailOn: {failure: true}\n"
        )
        ended = await Dagbook(client, "flow").run(spec_of("a", steps, head))
        (mail,) = await sink.received()
        shown = await everything(ended)
        assert (ended.status, shown.count(MASK) > len(ENCODED)) == ("failed", True)
        for text in (shown, mail.html, *(data.decode(errors="replace") for data in mail.attachments.values())):
            assert VALUE not in text
        assert "s3cr3t" not in shown
        assert not await is_stored(server, "s3cr3t")


async def test_no_request_waits_for_the_command_which_runs_once_per_attempt(flow: Dagbook, provider: Provider) -> None:
    provider.does(f'until [ -e "$(dirname "$0")/go" ]; do sleep 0.05; done; echo \'{VALUE}\'')
    run_id = await flow.start(spec_of("a", "  - {name: a, command: exit 1}\n"))  # answers while the command waits
    await wait_until(lambda: _seen(provider, 1))
    assert (await flow.get(run_id))["statusLabel"] in ("running", "not_started")
    (provider.folder / "go").touch()
    assert ((await flow.finished(run_id)).status, provider.calls) == ("failed", ["a"])
    answer = await flow.client.post(f"/dag-runs/flow/{run_id}/retry", json={"dagRunId": run_id})
    assert answer.status_code == 200, answer.text
    assert ((await flow.finished(run_id)).details["statusLabel"], provider.calls) == ("failed", ["a", "a"])


async def _seen(provider: Provider, calls: int) -> bool:
    return len(provider.calls) >= calls


async def test_a_queued_run_asks_when_it_begins(flow: Dagbook, provider: Provider) -> None:
    assert (await flow.client.post("/queues/waits/pause")).is_success
    answer = await flow.client.post("/dag-runs/enqueue", json={"spec": spec_of("a"), "name": "flow", "queue": "waits"})
    assert answer.status_code == 200, answer.text
    run_id = answer.json()["dagRunId"]
    assert ((await flow.get(run_id))["statusLabel"], provider.calls) == ("queued", [])
    assert (await flow.client.post("/queues/waits/resume")).is_success
    assert ((await flow.finished(run_id)).status, provider.calls) == ("succeeded", ["a"])


async def test_a_stop_ends_the_command(flow: Dagbook, provider: Provider) -> None:
    provider.does('echo $$ > "$(dirname "$0")/pids"; sleep 1000')
    run_id = await flow.start(spec_of("a"))
    pid = int(await until_written(provider.folder / "pids"))
    assert (await flow.stop(run_id)).status == "aborted"
    await until_gone(pid)


async def test_at_most_eight_run_at_a_time(flow: Dagbook, provider: Provider) -> None:
    provider.does(
        'cd "$(dirname "$0")"; mkdir -p now; : > now/$$; ls now | wc -l >> counts\n'
        "until [ -e go ]; do sleep 0.05; done; rm now/$$; echo value"
    )
    ids = [await flow.start(spec_of(f"k{number}", head="maxActiveRuns: 100")) for number in range(20)]
    await wait_until(lambda: _seen(provider, 8))
    (provider.folder / "go").touch()
    assert [(await flow.finished(run_id)).status for run_id in ids] == ["succeeded"] * 20
    counts = [int(line) for line in (provider.folder / "counts").read_text().split()]
    assert (len(counts), max(counts)) == (20, 8)


async def test_only_the_dags_of_the_setting_may_ask(database_url: str, tmp_path: Path, provider: Provider) -> None:
    async with opened(database_url, tmp_path / "home", provider, dags=["etl-*"], keys=["prod/*"]) as flow:

        async def stored(dag: str, spec: str) -> FinishedRun:
            answer = await flow.client.put(f"/dags/{dag}/spec", json={"spec": spec})
            if not answer.is_success:
                answer = await flow.client.post("/dags", json={"name": dag, "spec": spec})
            assert answer.is_success, answer.text
            started = await flow.client.post(f"/dags/{dag}/start", json={})
            assert started.status_code == 200, started.text
            return await flow.finished(started.json()["dagRunId"], dag)

        assert (await stored("etl-load", spec_of("prod/a"))).status == "succeeded"
        assert "fits none of the keys" in await log_of(await stored("etl-load", spec_of("dev/a")))
        refused = "the setting secret_commands does not let this DAG ask 'give'"
        assert refused in await log_of(await stored("payroll", spec_of("prod/a")))
        # A document inside the file of another DAG has the name that it gives itself, and no more rights than the file.
        inside = f"steps: [{{name: a, call: etl-own}}]\n---\nname: etl-own\n{spec_of('prod/a')}"
        assert (await stored("payroll", inside)).status == "failed"
        assert (await stored("etl-calls", inside)).status == "succeeded"
        assert provider.calls == ["prod/a", "prod/a"]
