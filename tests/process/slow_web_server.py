"""A web server that steps ask: it begins its answer at once and ends it when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PATIENCE_SECONDS = 30


class Peer:
    """What it was asked for, by path and in order, and the word that lets an answer end."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""
        self._released: set[str] = set()
        self._changed = threading.Condition()

    def release(self, *paths: str) -> None:
        """Let the answers for these paths end, those to come too."""
        with self._changed:
            self._released.update(paths)
            self._changed.notify_all()

    def answer(self, path: str) -> Iterator[bytes]:
        """Give an answer piece by piece."""
        self.asked.append(path)
        yield b"begun\n"
        with self._changed:
            self._changed.wait_for(lambda: path in self._released, _PATIENCE_SECONDS)
        yield b"ended\n"


@contextmanager
def listening() -> Iterator[Peer]:
    """Serve on loopback until the block is left."""
    peer = Peer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for piece in peer.answer(self.path):
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's word
            """Say nothing: the test's output is for the test."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients go away here by intent."""

    with Server(("127.0.0.1", 0), Handler) as server:
        peer.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield peer
        finally:
            peer.release(*peer.asked)
            server.shutdown()
            thread.join()
