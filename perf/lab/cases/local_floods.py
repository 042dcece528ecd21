"""Ten thousand connections that say nothing, garbage and web pages at the servers for local programs: honest programs are served meanwhile, and nothing is left."""

import os
import resource
import socket
import time

from .. import bob, i2cp, sam
from ..applications import Applications
from ..outcome import Failed, eventually
from ..sam import Refused, Session

NEEDS_RAMSON = True
NETWORK = Applications
_SILENT, _QUICK_SILENT = 10_000, 10_000
_PORTS = {"SAM": sam.PORT, "I2CP": i2cp.PORT, "BOB": bob.PORT}
_PATIENCE = 60  # seconds for an answer while others say nothing
_TRIES = 8
_ROOM = 64 << 20  # bytes that a router may have more for them
_PAGE = b"POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\nHELLO VERSION\nsetnick page\nnewkeys\n"


def run(net):
    count = _QUICK_SILENT if net.lab.quick else _SILENT
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(count, most - 500)
    session = eventually(240, lambda: _session(net, "stays"), 2)
    if not session:
        raise Failed("no session", net.subject)
    facts = [_silent(net, name, count) for name in _PORTS] + [_garbage(net)]
    # It was there all the while, and still is.
    session.control.ok("NAMING LOOKUP NAME=ME")
    session.close()
    if not eventually(120, lambda: net.subject.metrics().total("ramson_sam_sockets") == 0, 2):
        raise Failed("sockets of programs that are gone are still counted", net.subject)
    return "; ".join(facts)


def _session(net, name):
    try:
        return Session(net.subject.ip, name)
    except (Refused, OSError):
        return None


def _silent(net, name, count):
    """So many say nothing; how long an honest program waits for its answer."""
    before, held = net.subject.usage().rss, []
    try:
        for _ in range(count):
            end = socket.socket()
            end.setblocking(False)
            end.connect_ex((net.subject.ip, _PORTS[name]))
            held.append(end)
        waited = 0
        for _ in range(_TRIES):
            begun = time.monotonic()
            if not eventually(_PATIENCE, lambda: _answers(net, name), 0.1):
                raise Failed(f"{name} answers nobody while {count} say nothing", net.subject)
            waited = max(waited, time.monotonic() - begun)
            time.sleep(0.5)
        more = net.subject.usage().rss - before
    finally:
        for end in held:
            end.close()
    if more > _ROOM:
        raise Failed(f"{count} who say nothing at {name} take {more >> 20} MiB", net.subject)
    return f"{name}: {count} silent, the slowest of {_TRIES} answers after {waited:.1f} s, {max(more, 0) >> 20} MiB more"


def _answers(net, name):
    """Whether a program of the protocol is answered as it should be."""
    try:
        with socket.create_connection((net.subject.ip, _PORTS[name]), timeout=_PATIENCE) as end:
            if name == "SAM":
                end.sendall(b"HELLO VERSION\n")
                return end.recv(100).startswith(b"HELLO REPLY RESULT=OK")
            if name == "I2CP":
                end.sendall(b"\x2a\x00\x00\x00\x07\x20\x060.9.60")
                return end.recv(100)[4:5] == b"\x21"
            return end.recv(100).startswith(b"BOB ")
    except OSError:
        return False


def _garbage(net):
    """Bytes without a sense, and what a browser would post."""
    for name, port in _PORTS.items():
        for sent in (_PAGE, *(os.urandom(5000) for _ in range(20))):
            with socket.create_connection((net.subject.ip, port), timeout=_PATIENCE) as end:
                try:
                    end.sendall(sent)
                    end.shutdown(socket.SHUT_WR)
                    said = b"".join(iter(lambda: end.recv(65536), b""))
                except OSError:
                    continue  # it is closed already
            if sent is _PAGE and said not in (b"", b"BOB 00.00.10\nOK\n"):
                raise Failed(f"{name} reads a web page: {said[:200]!r}", net.subject)
        if not eventually(_PATIENCE, lambda: _answers(net, name), 0.1):
            raise Failed(f"{name} answers nobody after garbage", net.subject)
    return "garbage and web pages closed"
