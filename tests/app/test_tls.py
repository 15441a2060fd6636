"""The server over TLS: files that fit, files that do not, and its own commands as clients."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from tests.app.program import CommandLine, CommandResult
from tests.certificates import make_certificate


class Files:
    """A certificate with its key, another key, and the same key behind a password."""

    def __init__(self, folder: Path) -> None:
        (folder / "other").mkdir()
        make_certificate(folder)
        make_certificate(folder / "other")
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        self.other_key = folder / "other" / "key.pem"
        self.encrypted_key = folder / "encrypted.pem"
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        encryption = serialization.BestAvailableEncryption(b"open sesame")
        pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        self.encrypted_key.write_bytes(key.private_bytes(*pem))
        self.absent = folder / "absent.pem"
        self.folder = folder
        self.empty = folder / "empty.pem"
        self.empty.write_text("")
        self.junk = folder / "junk.pem"
        self.junk.write_text(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"
        )


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("key", ["key", "encrypted_key"])
async def test_the_server_speaks_tls_and_its_own_commands_need_none(tmp_path: Path, files: Files, key: str) -> None:
    settings = {"tls_cert_file": str(files.certificate), "tls_key_file": str(getattr(files, key))}
    password = "open sesame" if key == "encrypted_key" else ""
    line = CommandLine(tmp_path, tls_key_password=password, **settings)
    async with line.server() as address:
        assert address.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(files.certificate))
        async with httpx.AsyncClient(verify=trust) as client:
            answer = await client.get(f"{address}/api/v2/health")
        assert answer.json()["status"] == "healthy"
        plainly = CommandLine(tmp_path)  # without the settings of the server: it answers at a socket beside the file
        assert (await plainly.run("stop", "nothing")).err.startswith("Error: there is no DAG named 'nothing'")
        async with httpx.AsyncClient() as stranger:
            with pytest.raises(httpx.ConnectError):
                await stranger.get(f"{address}/api/v2/health")


@pytest.mark.parametrize(
    ("given", "named", "problem"),
    [
        ({"cert": "certificate"}, "tls_key_file", "is missing, while tls_cert_file is given"),
        ({"key": "key"}, "tls_cert_file", "is missing, while tls_key_file is given"),
        ({"cert": "absent", "key": "key"}, "tls_cert_file", "cannot be read: No such file"),
        ({"cert": "certificate", "key": "absent"}, "tls_key_file", "cannot be read: No such file"),
        ({"cert": "folder", "key": "key"}, "tls_cert_file", "cannot be read: Is a directory"),
        ({"cert": "certificate", "key": "other_key"}, "tls_key_file", "is not the key of the certificate in"),
        ({"cert": "key", "key": "key"}, "tls_cert_file", "is not PEM"),
        ({"cert": "certificate", "key": "empty"}, "tls_key_file", "is not PEM"),
        ({"cert": "junk", "key": "key"}, "tls_cert_file", "contains no usable certificate"),
        ({"cert": "certificate", "key": "junk"}, "tls_key_file", "contains no usable private key"),
        ({"cert": "certificate", "key": "encrypted_key"}, "tls_key_password", "is missing"),
        ({"cert": "certificate", "key": "encrypted_key", "password": "topsecret"}, "tls_key_password", "is not the"),
    ],
)
def test_files_that_do_not_fit_are_named(
    command: Callable[..., CommandResult],
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    named: str,
    problem: str,
) -> None:
    for name, variable in (("cert", "TLS_CERT_FILE"), ("key", "TLS_KEY_FILE")):
        if name in given:
            monkeypatch.setenv(f"DAGBOOK_{variable}", str(getattr(files, given[name])))
    monkeypatch.setenv("DAGBOOK_TLS_KEY_PASSWORD", given.get("password", ""))
    said = command("serve", "--port", "0")
    assert said.status == 1
    assert said.err.startswith(f"Error: {named} (")
    assert problem in said.err
    assert "topsecret" not in said.err
