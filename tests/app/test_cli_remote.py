"""Commands that work with a remote server: its options, variables and profiles, and what they say where it fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dagbook.cli import execute
from dagbook.unix.privacy import forbid_inspection
from tests.app.program import CommandResult
from tests.app.remote_server import RemoteDagbook

Command = Callable[..., CommandResult]
SPEC = "steps: [{name: a, command: 'echo from afar'}]\n"


def _profiles(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "config" / "dagbook" / "profiles.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_runs_on_the_remote_server_and_is_seen_there(at: Command, remote: RemoteDagbook, tmp_path: Path) -> None:
    file = tmp_path / "afar.yaml"
    file.write_text(SPEC)
    said = at("run", file, "-r", "r1")
    assert (said.status, said.out.splitlines()[-1]) == (0, "succeeded"), said.err
    assert "  from afar" in said.out
    run = remote.request("GET", "/dag-runs/afar/r1")["dagRunDetails"]
    assert (run["statusLabel"], run["actor"]) == ("succeeded", "root")
    assert at("status", "afar").out.splitlines()[0] == "afar  r1"
    assert at("--profile", "local", "status", "afar").err == "Error: DAG 'afar' has no run\n"


def test_a_command_runs_there_beside_another_unless_it_is_a_singleton(at: Command, remote: RemoteDagbook) -> None:
    spec = "maxActiveRuns: -1\nsteps: [{name: a, command: sleep 600}]\n"
    remote.request("POST", "/dag-runs", json={"spec": spec, "name": "busy", "dagRunId": "first"})
    said = at("exec", "--singleton", "-N", "busy", "-r", "second", "--", "true")
    assert (said.status, said.out) == (1, "")
    assert "busy" in said.err
    assert at("exec", "-N", "busy", "-r", "third", "--", "echo", "$HOME").status == 0
    assert at("logs", "busy", "third", "--step", "main").out == "$HOME\n"
    assert at("stop", "busy", "first").out == "run first of DAG busy was asked to stop\n"


def test_stored_dags_are_saved_enqueued_stopped_and_dequeued_there(at: Command, tmp_path: Path) -> None:
    file = tmp_path / "slow.yaml"
    file.write_text("queue: far-queue\nsteps: [{name: a, command: sleep 60}]\n")
    assert at("dag", "save", file).out == "the DAG slow is stored, as revision 1\n"
    assert at("queue", "pause", "far-queue").status == 0
    assert at("enqueue", "slow", "-r", "q1").out == "run q1 is queued\n"
    assert "queue 'far-queue' is paused since" in at("why", "slow", "q1").out
    assert at("dequeue", "far-queue").out == "run q1 of DAG slow is removed from its queue\n"
    assert "slow" in at("dag", "list").out


def test_the_server_and_its_token_are_options_before_or_after_the_name(command: Command, remote: RemoteDagbook) -> None:
    options = ("--server", remote.url, "--token", remote.token)
    assert command(*options, "users", "list").out == command("users", "list", *options).out
    assert " root " in f" {command(*options, 'users', 'list').out.splitlines()[1]} "


def test_a_token_may_stand_in_a_file(command: Command, remote: RemoteDagbook, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{remote.token}\n")
    assert command("dag", "list", "--server", remote.url, "--token-file", tmp_path / "token").status == 0


def test_a_profile_has_server_and_token(command: Command, remote: RemoteDagbook, tmp_path: Path) -> None:
    _profiles(tmp_path, json.dumps({"profiles": {"prod": {"server": remote.url, "token": remote.token}}}))
    assert command("--profile", "prod", "users", "list").status == 0
    assert command("users", "list", "--server", remote.url).status == 0  # the same server, and so its token
    said = command("users", "list", "--profile", "test")
    assert said.err.startswith("Error: there is no profile 'test' in ")
    assert said.err.endswith("; there are prod\n")


def test_the_default_profile_counts_until_another_is_named(
    command: Command, remote: RemoteDagbook, tmp_path: Path
) -> None:
    profiles = {"prod": {"server": remote.url, "token": remote.token}}
    _profiles(tmp_path, json.dumps({"default": "prod", "profiles": profiles}))
    assert command("users", "list").status == 0
    assert command("users", "list", "--profile", "local").out == "NAME  ROLE  SINCE  ID\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_profiles_that_others_can_read_are_refused(command: Command, tmp_path: Path, mode: int) -> None:
    path = _profiles(tmp_path, "profiles: {}\n", mode)
    said = command("dag", "list")
    assert said.status == 1
    assert said.err.startswith(f"Error: {path} contains tokens, and other users")
    assert f"`chmod 600 {path}`" in said.err


@pytest.mark.parametrize("text", ["- a", "profiles: {a: {url: x}}", "a: [", "profiles: 5"])
def test_a_file_that_has_no_profiles_is_an_error_with_its_name(command: Command, tmp_path: Path, text: str) -> None:
    path = _profiles(tmp_path, text)
    said = command("dag", "list")
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert said.err.startswith(f"Error: {path} is not a file of profiles: ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--server", "ftp://x", "dag", "list"), "'ftp://x' is not the address of a server"),
        (("--server", "https://a:b@x", "dag", "list"), "is not the address of a server"),
        (("--server", "https://x/?a=1", "dag", "list"), "is not the address of a server"),
        (("--server", "x", "--profile", "y", "dag", "list"), "--server and --profile exclude each other"),
        (("--token", "t", "dag", "list"), "--token is for a server; give --server URL"),
        (("--server", "x", "--token", "a b", "dag", "list"), "--token is not a token"),
        (("--server", "x", "--token", "t", "--token-file", "f", "dag", "list"), "exclude each other"),
        (("--server", "x", "serve"), "dagbook serve works on this machine only, so --server does not apply"),
        (("--profile", "x", "db", "check"), "works on this machine only, so --profile does not apply"),
    ],
)
def test_options_that_cannot_work_are_errors(command: Command, arguments: tuple[str, ...], told: str) -> None:
    said = command(*arguments)
    assert (said.status, said.out) == (1, "")
    assert told in said.err
    assert "Traceback" not in said.err


def test_a_token_that_is_missing_or_wrong_leads_to_the_login(command: Command, remote: RemoteDagbook) -> None:
    said = command("dag", "list", "--server", remote.url)
    assert said.err == f"Error: {remote.url} requires a token; run `dagbook login {remote.url}`, or give --token\n"
    said = command("dag", "list", "--server", remote.url, "--token", "dbk_wrong")
    assert said.err.startswith(
        f"Error: {remote.url} refuses the token: it is wrong, expired or revoked; run `dagbook login"
    )


def test_what_a_role_may_not_do_is_told_in_one_sentence(
    command: Command, remote: RemoteDagbook, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(SPEC)
    said = command(
        "dag", "save", tmp_path / "mine.yaml", "--server", remote.url, "--token", remote.add_token("v", role="viewer")
    )
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "manager" in said.err


def test_a_server_that_is_not_there_is_told_with_what_to_check(command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # it does not listen, so connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = command("dag", "list", "--server", url)
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert said.err.startswith(f"Error: {url} cannot be reached: ")
    assert said.err.endswith("check the address, and whether the server is running\n")


def test_a_host_that_is_not_known_is_told(command: Command) -> None:
    said = command("dag", "list", "--server", "http://no-such-host.invalid")
    assert said.err.startswith("Error: the host of http://no-such-host.invalid is not known: ")


class _Other(BaseHTTPRequestHandler):
    """A server that is none of ours."""

    status, kind, text = 200, "text/html", "<html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Type", self.kind)
        self.send_header("Location", "https://other.example.org/api/v2/dags")
        self.end_headers()
        self.wfile.write(self.text.encode(errors="surrogateescape"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Print nothing."""


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler], *, tls: Path | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        import ssl  # noqa: PLC0415 - of this one test

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "kind", "text", "told"),
    [
        (200, "text/html", "<html>", "is not a server with the API of Dagbook (status 200, text/html)"),
        (404, "text/plain", "no", "is not a server with the API of Dagbook (status 404, text/plain)"),
        (404, "application/json", "[]", "is not the API of Dagbook (status 404)"),
        (500, "application/json", "no", "is not the API of Dagbook (status 500)"),
        (500, "application/json", "[" * 100_000, "is not the API of Dagbook (status 500)"),
        (200, "application/json", "{}", "is not the API of this version of Dagbook: Object missing required field"),
        (200, "application/json", '{"x": ' + "[" * 100_000, "is not the API of this version of Dagbook: "),
        (200, "application/json", '{"errors": ["\udcff"]}', "is not the API of this version of Dagbook: "),
        (502, "text/html", "bad gateway", "answers with status 502, and not as Dagbook does"),
        (301, "text/html", "", "redirects to 'https://other.example.org'; use that address"),
    ],
)
def test_another_server_is_told_from_dagbook(command: Command, status: int, kind: str, text: str, told: str) -> None:
    with _serving(type("Other", (_Other,), {"status": status, "kind": kind, "text": text})) as url:
        said = command("dag", "list", "--server", url, "--token", "secret-token")
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert told in said.err
    assert "secret-token" not in said.err


def test_a_certificate_that_is_not_trusted_is_told_and_can_be_trusted(command: Command, tmp_path: Path) -> None:
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    pagination = {"totalRecords": 0, "currentPage": 1, "totalPages": 1, "nextPage": 0, "prevPage": 0}
    page = {"dags": [], "errors": [], "pagination": pagination}
    handler = type("Ours", (_Other,), {"kind": "application/json", "text": json.dumps(page)})
    with _serving(handler, tls=tmp_path) as url:
        said = command("dag", "list", "--server", url)
        assert said.err.startswith(f"Error: the certificate of {url} is not trusted: self-signed certificate; ")
        _profiles(tmp_path, json.dumps({"profiles": {"own": {"server": url, "ca_file": str(tmp_path / "cert.pem")}}}))
        assert command("dag", "list", "--profile", "own").out.startswith("there are no DAGs; ")
        plain = command("dag", "list", "--server", url.replace("https", "http"))
        assert (plain.status, plain.err.count("\n")) == (1, 1)
    with _serving(_Other) as url:
        said = command("dag", "list", "--server", url.replace("http", "https"))
        assert "does not speak TLS" in said.err


def test_a_token_without_tls_is_mentioned(command: Command) -> None:
    said = command("dag", "list", "--server", "http://192.0.2.1:1", "--token", "t", "--home", "/nonexistent")
    assert said.err.startswith("Notice: the token is sent to http://192.0.2.1:1 without TLS")


def test_a_command_that_owns_its_process_takes_the_token_out_of_the_environment(at: Command) -> None:
    forbid_inspection()  # a change of file system ids has the same effect
    at("dag", "list")
    assert "DAGBOOK_TOKEN" in os.environ
    assert execute(["dag", "list"], owns_process=True) == 0
    assert "DAGBOOK_TOKEN" not in os.environ
