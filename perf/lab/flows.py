"""Plain TCP through tunnels, as much as passes: how fast, how evenly, how soon the first byte comes."""

import hashlib
import itertools
import os
import socket
import socketserver
import threading
import time
from dataclasses import dataclass

from .sandbox import GATE

_BLOCK = os.urandom(1 << 20)
_READ = 1 << 16
_ENDLESS = _BLOCK + _BLOCK[:_READ]  # what may be read from any place in it on
_STALL = 60  # seconds without a byte after which a flow has failed


class Source:
    """A server that answers anything with the same random megabyte again and again, and "idle" with one byte alone.

    With a rate each answer has so many bytes a second. Those who read cannot set it: i2pd takes what comes, and keeps it.
    """

    def __init__(self, port, rate=None):
        self.ip, self.port = GATE, port

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    if self.request.recv(64).startswith(b"idle"):
                        self.request.sendall(_BLOCK[:1])
                        self.request.recv(64)
                        return
                    begin = time.monotonic()
                    for n in itertools.count(1):
                        self.request.sendall(_BLOCK)
                        if rate:
                            time.sleep(max(0.0, begin + n * len(_BLOCK) / rate - time.monotonic()))
                except OSError:
                    pass  # the client has what it wants

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 512

        self._server = Server((self.ip, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def sha256(size):
        """Of the first so many bytes of its answer."""
        whole, rest = divmod(size, len(_BLOCK))
        digest = hashlib.sha256()
        for _ in range(whole):
            digest.update(_BLOCK)
        digest.update(_BLOCK[:rest])
        return digest.hexdigest()

    def close(self):
        """Serves no more."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Flow:
    """What came through one connection, and when."""

    received: int = 0
    first: float | None = None  # seconds until the first byte
    trouble: str = ""


def first_byte(place):
    """Seconds until the first byte of a new connection, or None if none came."""
    flow = Flow()
    with socket.create_connection(place, timeout=_STALL) as connection:
        _run(flow, connection, lambda: flow.received > 0)
    return flow.first


def first_byte_patiently(place, limit):
    """The same as soon as there is one; None after `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if (first := first_byte(place)) is not None:
                return first
        except OSError:
            pass
        time.sleep(1)
    return None


def run(place, count, seconds):
    """So many flows at once for so long."""
    flows, end = [Flow() for _ in range(count)], time.monotonic() + seconds

    def one(flow):
        try:
            with socket.create_connection(place, timeout=seconds) as connection:
                _run(flow, connection, lambda: time.monotonic() > end)
        except OSError as e:
            flow.trouble = flow.trouble or str(e)

    threads = [threading.Thread(target=one, args=(flow,)) for flow in flows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return flows


def hold(place, count):
    """So many connections, each of which has had its byte: the caller closes them."""
    held = []
    for _ in range(count):
        connection = socket.create_connection(place, timeout=_STALL)
        connection.sendall(b"idle")
        connection.recv(1)
        held.append(connection)
    return held


def jain(flows):
    """How evenly they shared: 1 if each had the same."""
    amounts = [flow.received for flow in flows]
    return sum(amounts) ** 2 / (len(amounts) * sum(a * a for a in amounts)) if any(amounts) else 0.0


def _run(flow, connection, done):
    connection.settimeout(_STALL)
    begin = time.monotonic()
    connection.sendall(b"go")
    while not done():
        connection.settimeout(1)
        try:
            chunk = connection.recv(_READ)
        except TimeoutError:
            if time.monotonic() - begin > _STALL and not flow.received:
                flow.trouble = "nothing came"
                return
            continue
        if not chunk:
            flow.trouble = "it ended"
            return
        flow.first = flow.first or time.monotonic() - begin
        at = flow.received % len(_BLOCK)
        if chunk != _ENDLESS[at : at + len(chunk)]:
            raise AssertionError(f"other bytes after {flow.received}")
        flow.received += len(chunk)
