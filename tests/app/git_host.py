"""Git hosts on loopback: git's own CGI program behind Python's HTTP server, with a password, and one that redirects."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self


class _Host:
    """An HTTP server on loopback."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class RedirectingHost(_Host):
    """Answers every request with a redirect, or asks for a password if it leads nowhere; keeps the headers."""

    def __init__(self, target: str = "") -> None:
        self.seen: list[dict[str, str]] = []
        super().__init__(self._make_handler(target))

    def _make_handler(self, target: str) -> type[BaseHTTPRequestHandler]:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.seen.append(dict(self.headers))
                self.send_response(302 if target else 401)
                if target:
                    self.send_header("Location", f"{target}{self.path}")
                else:
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler


class GitHost(_Host):
    """Serves the repositories below a folder to one user."""

    def __init__(self, folder: Path, username: str, password: str) -> None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.refused = 0
        super().__init__(self._make_handler(folder, f"Basic {token}"))

    def _make_handler(self, folder: Path, expected: str) -> type[BaseHTTPRequestHandler]:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers.get("Authorization") != expected:
                    host.refused += 1
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                    self.end_headers()
                    return
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                environment = {
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "REMOTE_USER": "ann",
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                }
                command = ["git", "http-backend"]
                done = subprocess.run(command, input=body, env=environment, capture_output=True, check=True)
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                lines = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
                self.send_response(int(lines.pop("Status", "200").split()[0]))
                for name, value in lines.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815 - names of the standard library

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler
