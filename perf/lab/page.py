"""A page for a browser, which shows a picture, gives a cookie, posts, and speaks over a web socket; what the browser did is in `heard`."""

import base64
import hashlib
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .sandbox import GATE

_SCRIPT = """
const socket = new WebSocket("ws://" + location.host + "/socket");
socket.onopen = () => socket.send("from the page");
socket.onmessage = event => fetch("/heard", { method: "POST", body: event.data });
"""
_PAGE = f'<!doctype html><title>lab</title><h1>lab</h1><img src="/picture"><script>{_SCRIPT}</script>'
_KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 (1.3)


class Page:
    """An HTTP server in this process."""

    def __init__(self, port=8098):
        self.ip, self.port, self.heard = GATE, port, {}
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.headers.get("Upgrade", "").lower() == "websocket":
                    self._socket()
                    return
                heard[self.path] = heard["agent"] = self.headers.get("User-Agent")
                body, kind = (_picture(), "image/png") if self.path == "/picture" else (_PAGE.encode(), "text/html")
                self._answer(body, kind)

            def do_POST(self):
                size = int(self.headers.get("Content-Length", 0))
                heard["posted"], heard["cookie"] = self.rfile.read(size).decode(), self.headers.get("Cookie")
                self._answer(b"", "text/plain")

            def _answer(self, body, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Set-Cookie", "visit=lab; Path=/")
                self.end_headers()
                self.wfile.write(body)

            def _socket(self):
                """Answers the first message with another, and ends."""
                accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + _KEY).encode()).digest()
                self.send_response(101)
                for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", base64.b64encode(accept).decode())):
                    self.send_header(name, value)
                self.end_headers()
                self.close_connection = True
                size = self.rfile.read(2)[1] & 127
                mask = self.rfile.read(4)
                said = bytes(byte ^ mask[n % 4] for n, byte in enumerate(self.rfile.read(size)))
                answer = b"heard " + said
                self.wfile.write(bytes((0x81, len(answer))) + answer)
                self.rfile.read(1)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer((self.ip, self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        """Takes no more calls."""
        self._server.shutdown()
        self._server.server_close()


def _picture():
    """A PNG of one red point."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
