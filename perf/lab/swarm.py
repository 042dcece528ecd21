"""Swarms of BitTorrent: files to share, and a tracker that knows peers by their destinations, as those in I2P do."""

import base64
import hashlib
import os
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .sandbox import GATE

_PIECE = 65_536
_INTERVAL = 10  # seconds between two questions of a peer


def bencode(value):
    """As BitTorrent writes values."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def make_torrent(path, name, data, tracker):
    """Writes the description of a file, for a tracker with this .b32.i2p name."""
    pieces = b"".join(hashlib.sha1(data[at : at + _PIECE]).digest() for at in range(0, len(data), _PIECE))
    info = {"length": len(data), "name": name, "piece length": _PIECE, "pieces": pieces}
    with open(path, "wb") as f:
        f.write(bencode({"announce": f"http://{tracker}/announce", "info": info}))


class Tracker:
    """A tracker in this script's own namespace, to be put behind a tunnel."""

    def __init__(self, port=8096):
        self.ip, self.port, self.swarms = GATE, port, {}
        swarms = self.swarms

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.urlsplit(self.path).query
                asked = dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)
                destination = asked.get("ip", "").removesuffix(".i2p")
                raw = base64.b64decode(urllib.parse.unquote(destination).translate(str.maketrans("-~", "+/")))
                peers = swarms.setdefault(asked["info_hash"], set())
                others = peers - {(own := hashlib.sha256(raw).digest())}
                peers.add(own)
                body = bencode({"interval": _INTERVAL, "min interval": _INTERVAL, "peers": b"".join(sorted(others))})
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer((self.ip, self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()


def random_file(folder, name, size):
    """A file of random bytes, which are returned."""
    os.makedirs(folder, exist_ok=True)
    data = os.urandom(size)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)
    return data
