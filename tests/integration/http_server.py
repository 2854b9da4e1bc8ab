"""A quiet HTTP server for tests, on a free port of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: status, body, headers; None in place of the body closes the connection without an answer.
Reply = tuple[int, str | None, dict[str, str]]


class QuietHandler(BaseHTTPRequestHandler):
    """Answers with `Reply`s."""

    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        """What the client sent."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def reply(self, reply: Reply) -> None:
        """Sends an answer, or cuts the connection."""
        status, text, headers = reply
        if text is None:
            self.close_connection = True
            return
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client was killed: what some tests do

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: clients are killed on purpose."""


@contextmanager
def serve(handler: type[QuietHandler]) -> Iterator[str]:
    """Serves until the block ends; yields the address, `http://...` without a path."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
