"""TLS of the server: certificate and key from the settings, checked before it serves."""

from __future__ import annotations

import ssl
from pathlib import Path

from dagbook.settings import Settings, SettingsError

_CERT, _KEY = "tls_cert_file", "tls_key_file"
_BEGIN = "-----BEGIN CERTIFICATE-----"
_MAX_PASSWORD = 1024


def load_tls(settings: Settings) -> ssl.SSLContext | None:
    """Read certificate and key; None when neither is set. Raises SettingsError, which names the file at fault."""
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing, given = (_CERT, _KEY) if certificate is None else (_KEY, _CERT)
        raise _error(settings, missing, f"is missing, while {given} is given; give both or none")
    _read(settings, _CERT, certificate, _BEGIN)
    _read(settings, _KEY, key, "-----BEGIN ")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_chain(settings, context, certificate, key)
    return context


def _read(settings: Settings, name: str, path: Path, mark: str) -> None:
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise _error(settings, name, f"{path} cannot be read: {error.strerror}") from error
    if mark not in text:
        raise _error(settings, name, f"{path} is not PEM: no line in it begins with {mark.strip()}")


def _load_chain(settings: Settings, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    # With a password at hand, even an empty one, OpenSSL does not ask for it in the terminal.
    password = settings.tls_key_password[:_MAX_PASSWORD]
    try:
        context.load_cert_chain(certificate, key, password=lambda: password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _error(settings, _KEY, f"{key} is not the key of the certificate in {certificate}") from error
        raise _error(settings, *_unusable_file(certificate, key, password)) from error


def _unusable_file(certificate: Path, key: Path, password: str) -> tuple[str, str]:
    """Return the setting at fault and its problem, which OpenSSL does not report."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        return _CERT, f"{certificate} contains no usable certificate"
    if "ENCRYPTED" not in key.read_text(encoding="latin-1"):
        return _KEY, f"{key} contains no usable private key"
    if password:
        return "tls_key_password", f"is not the password of {key}"
    return "tls_key_password", f"is missing, and {key} is encrypted"


def _error(settings: Settings, name: str, problem: str) -> SettingsError:
    return SettingsError(name, settings.origins[name], problem)
