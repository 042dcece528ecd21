"""The server behind the tunnels: files of random bytes, so that one wrong, lost or doubled byte shows in the hash; and at
`headers` what it heard."""

import errno
import hashlib
import os
import threading
import time
import urllib.parse
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .sandbox import GATE


PATIENCE = 30  # seconds until an address must be free


@dataclass(frozen=True)
class File:
    """What a download must bring."""

    path: str
    size: int
    sha256: str


class Web:
    """An HTTP server in this process, reachable from every router."""

    def __init__(self, port=8099):
        self.ip, self.port = GATE, port
        self._contents = {}
        contents = self._contents

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                # As an outproxy it is given the whole URL, and has the file itself.
                body = contents.get(urllib.parse.urlsplit(self.path).path.strip("/"))
                if self.path.endswith("/headers"):
                    body = str(self.headers).encode()
                if self.headers.get("Upgrade"):
                    self._echo()
                    return
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # the client went away, which its side of the test notices

            def _echo(self):
                """Speaks another protocol from now on: what comes goes back."""
                self.send_response(101)
                self.send_header("Connection", "Upgrade")
                self.send_header("Upgrade", self.headers["Upgrade"])
                self.end_headers()
                self.close_connection = True
                while chunk := self.rfile.read1(1 << 16):
                    self.wfile.write(chunk)

            def log_message(self, *_):
                pass

        self._handler, self._server = Handler, None

    def start(self):
        """Serves from now on."""
        self._server = _listen((self.ip, self.port), self._handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def file(self, size):
        """A file of `size` random bytes."""
        path = str(size)
        body = self._contents.setdefault(path, os.urandom(size))
        return File(path, size, hashlib.sha256(body).hexdigest())

    def put(self, path, body):
        """A file of these bytes."""
        self._contents[path] = body

    def content(self, file):
        """Its bytes."""
        return self._contents[file.path]

    def close(self):
        """Stops serving."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()


def _listen(address, handler):
    """A server at this address. A connection of the network before may still hold it for a moment."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return ThreadingHTTPServer(address, handler)
        except OSError as e:
            if e.errno != errno.EADDRINUSE or time.monotonic() > until:
                raise
            time.sleep(0.2)
