"""The blocks of docs/how-to/reverse-proxy.md in a real nginx and a real Caddy, in front of a real server."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.certificates import make_certificate
from tests.process import conftest
from tests.process.program import ROOT, Program
from tests.process.waiting import wait_for

NAME = "dags.example.org"
_SETTINGS = {"trusted_proxies": "127.0.0.1", "allowed_hosts": NAME, "insecure": "true"}
_NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{block}
}}
"""
_CADDY = "{{\n    admin off\n    auto_https disable_redirects\n    skip_install_trust\n}}\n{block}"


class _ToLoopback(httpx.HTTPTransport):
    """Takes every name for this machine, as a resolver would that knows it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = request.url.host
        request.url = request.url.copy_with(host="127.0.0.1")
        return super().handle_request(request)


def _block(language: str, prefix: str, server: Program, port: int, folder: Path) -> str:
    """Give a block of the documentation with the ports and the certificate of the test."""
    text = (ROOT / "docs" / "how-to" / "reverse-proxy.md").read_text(encoding="utf-8")
    at_root, below_a_path = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    behind = server.api.client.base_url
    changes = [
        ("127.0.0.1:8080", f"{behind.host}:{behind.port}"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        (f"/etc/ssl/{NAME}.pem", str(certificate)),
        (f"/etc/ssl/{NAME}.key", str(key)),
        (f"{NAME} {{", f"https://{NAME}:{port} {{\n    tls {certificate} {key}"),  # else Caddy asks for a certificate
    ]
    block: str = below_a_path if prefix else at_root
    for before, after in changes:
        block = block.replace(before, after)
    return block


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module", params=["", "/dagbook"], ids=["root", "path"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    program = Program(tmp_path_factory.mktemp("server") / "home", settings={**_SETTINGS, "base_path": prefix})
    try:
        yield program.start()
    finally:
        conftest.end(program)


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def client(
    request: pytest.FixtureRequest, prefix: str, server: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the proxy, at the name that it serves."""
    # Debian has nginx where only root's PATH leads.
    program = shutil.which(request.param, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    folder, port = tmp_path_factory.mktemp(request.param), _free_port()
    make_certificate(folder)
    file = folder / "config"
    frame = {"nginx": _NGINX, "caddy": _CADDY}[request.param]
    file.write_text(frame.format(folder=folder, block=_block(request.param, prefix, server, port, folder)))
    words = {
        "nginx": ["-p", str(folder), "-e", str(folder / "log"), "-c", str(file)],
        "caddy": ["run", "--config", str(file), "--adapter", "caddyfile"],
    }[request.param]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [program, *words], stdout=output, stderr=output, env=os.environ | {"HOME": str(folder)}
        )
    url = f"https://{NAME}:{port}"
    with httpx.Client(transport=_ToLoopback(verify=False), base_url=url, follow_redirects=True) as client:
        client.max_redirects = 3
        try:
            wait_for("the proxy", lambda: _answers(process, client, prefix, folder / "output"))
            yield client
        finally:
            process.terminate()
            process.wait(20)


def _answers(process: subprocess.Popen[bytes], client: httpx.Client, prefix: str, output: Path) -> bool:
    assert process.poll() is None, output.read_text()
    with contextlib.suppress(httpx.TransportError):
        return client.get(f"{prefix}/api/v2/health").is_success
    return False


@pytest.mark.parametrize("path", ["", "/", "/dag-runs", "/dag-runs/"])
def test_a_path_leads_to_its_page_with_and_without_a_slash(client: httpx.Client, prefix: str, path: str) -> None:
    answer = client.get(prefix + path, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert f'<base href="{prefix}/">' in answer.text


def test_a_page_of_the_front_name_may_change_things(client: httpx.Client, prefix: str) -> None:
    origin = str(client.base_url).rstrip("/")
    name = f"by-{client.base_url.port}"
    answer = client.post(f"{prefix}/api/v2/dags", json={"name": name}, headers={"Origin": origin})
    assert answer.status_code == 201, answer.text
    assert "strict-transport-security" in answer.headers  # the proxy's X-Forwarded-Proto was believed


def test_the_name_of_a_step_keeps_its_slash(client: httpx.Client, prefix: str, server: Program) -> None:
    run_id = server.api.start("steps: [{name: a/b, command: echo said}]\n")
    server.api.ended(run_id)
    answer = client.get(f"{prefix}/api/v2/dag-runs/flow/{run_id}/steps/a%2Fb/log")
    assert answer.json()["content"] == "said"


def test_the_live_feed_arrives_while_it_is_written(client: httpx.Client, prefix: str, server: Program) -> None:
    with client.stream("GET", f"{prefix}/api/v2/events", timeout=20) as answer:
        lines = answer.iter_lines()
        next(lines)
        run_id = server.api.start("steps: [{name: a, command: 'true'}]\n")
        assert any(run_id in line for line in lines)


def test_a_body_of_the_greatest_length_passes(client: httpx.Client, prefix: str) -> None:
    answer = client.post(f"{prefix}/api/v2/dags/validate", content=b'{"spec": "#' + b"#" * 4_000_000 + b'"}')
    assert answer.status_code == 200, answer.text
