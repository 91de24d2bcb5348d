"""What stands for the internet while Argo's examples run: every address answers, and always the same.

The controller's pods reach it as the service `web` of their namespace, the local runner's steps on a port of this machine.
"""

from __future__ import annotations

import contextlib
import http.server
import sys
import threading
from collections.abc import Iterator

# The name by which the record knows it.
HOST = "http://web"
# A program as well as a text, since an example calls the file that it has downloaded.
BODY = b"#!/bin/sh\necho google\n"
_STATUS = {"thisisnotahash": 404, "/status/201": 201}


class Web(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the address is known for, or 200."""

    def do_GET(self) -> None:
        """Any address."""
        self.send_response(next((status for part, status in _STATUS.items() if part in self.path), 200))
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_words: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of a server on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Web).serve_forever()
