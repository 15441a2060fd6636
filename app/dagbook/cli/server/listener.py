"""The socket that a server listens on: a TCP port, or a Unix socket for a proxy of this machine."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from dagbook.api.middleware.host_check import is_unspecified
from dagbook.db.sqlite.lock_file import UNIX
from dagbook.settings import Settings

LOOPBACK = "127.0.0.1"
_MAX_PATH = 107  # bytes in sun_path, without the NUL


@contextmanager
def open_listener(settings: Settings) -> Iterator[socket.socket]:
    """Bind the socket, which does not listen yet; the file of a Unix socket is deleted at the end."""
    if settings.socket is None:
        with _bind_port(settings) as listener:
            yield listener
        return
    with _bind_path(settings.socket, int(settings.socket_mode, 8)) as listener:
        file = settings.socket.stat()
        try:
            yield listener
        finally:
            with suppress(OSError):
                if os.path.samestat(file, settings.socket.stat()):  # else another server has taken its place
                    settings.socket.unlink()


def _bind_port(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise click.ClickException(
            f"port {settings.port} of {settings.host} cannot be used: {error.strerror}; choose another with --port"
        ) from error
    return listener


def _bind_path(path: Path, mode: int) -> socket.socket:
    if len(os.fsencode(path)) > _MAX_PATH:
        raise click.ClickException(f"socket {path} cannot be used: its path has more than {_MAX_PATH} bytes")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_abandoned(path)
        os.fchmod(listener.fileno(), mode)  # on Linux its file is created with this mode, less the umask
        listener.bind(str(path))
        path.chmod(mode)
    except OSError as error:
        listener.close()
        raise click.ClickException(f"socket {path} cannot be used: {error.strerror}; choose another path") from error
    return listener


def _remove_abandoned(path: Path) -> None:
    """Delete the file of a socket that no process listens on; raises ClickException if one does."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return  # binding fails: no file of another kind is deleted
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        else:
            raise click.ClickException(f"socket {path} is in use by another process; stop it, or choose another path")


def server_address(settings: Settings, listener: socket.socket) -> str:
    """Return the URL of the server; for a Unix socket ``unix:`` and its path."""
    if settings.socket is not None:
        return f"{UNIX}{settings.socket}"
    host = LOOPBACK if is_unspecified(settings.host) else settings.host
    host = f"[{host}]" if ":" in host else host
    scheme = "http" if settings.tls_cert_file is None else "https"
    return f"{scheme}://{host}:{listener.getsockname()[1]}{settings.base_path}"
