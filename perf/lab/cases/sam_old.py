"""A program of SAM 1 and one of SAM 2 have numbered streams on one socket with programs of SAM 3 at i2pd, both ways; a name keeps its destination."""

import os
import time

from ..applications import Applications
from ..outcome import Failed, eventually
from ..sam import Refused, Session, Socket, values

NEEDS_RAMSON = True
NETWORK = Applications
_SIZE = 500_000
_PIECE = 16_384
_STREAMS = 3
_LIMIT = 240


def run(net):
    theirs = eventually(_LIMIT, lambda: _session(net), 2)
    if not theirs:
        raise Failed("no session at i2pd", net.partner)
    facts = []
    for version in ("1.0", "2.0"):
        try:
            facts.append(_version(net, theirs, version))
        except (Refused, OSError, KeyError) as e:
            raise Failed(f"version {version}: {e!r}", net.subject, net.partner) from e
    theirs.close()
    return "; ".join(facts)


def _session(net):
    try:
        return Session(net.partner.ip, "modern")
    except (Refused, OSError):
        return None


class Old(Socket):
    """A session of streams of an old version on one socket."""

    def __init__(self, host, version, name):
        super().__init__(host, version)
        self.version, self.received = version, {}
        self.ok(f"SESSION CREATE STYLE=STREAM DESTINATION={name} DIRECTION=BOTH inbound.length=2 outbound.length=2")
        self.destination = self.ok("NAMING LOOKUP NAME=ME")["VALUE"]

    def next(self):
        """What comes next, after the bytes of streams have been put aside: its line."""
        while True:
            line = self.file.readline().decode().rstrip("\n")
            if not line:
                raise Refused("the socket was closed")
            if not line.startswith("STREAM RECEIVED "):
                return line
            head = values(line)
            self.received[head["ID"]] = self.received.get(head["ID"], b"") + self.file.read(int(head["SIZE"]))

    def connect(self, number, destination):
        """Begins a stream; True if it stands."""
        self.socket.sendall(f"STREAM CONNECT ID={number} DESTINATION={destination}\n".encode())
        while not (line := self.next()).startswith("STREAM STATUS "):
            pass
        if " RESULT=OK" not in line:
            return False
        self.listen(number)
        return True

    def listen(self, number):
        """All may come of a stream."""
        if self.version == "2.0":
            self.socket.sendall(f"STREAM RECEIVE ID={number} LIMIT=NONE\n".encode())

    def send(self, number, data):
        """Sends bytes, in pieces, and waits where version 2 says so."""
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            self.socket.sendall(f"STREAM SEND ID={number} SIZE={len(piece)}\n".encode() + piece)
            while self.version == "2.0" and "STATE=READY" not in (line := self.next()):
                if "RESULT=FAILED" in line:
                    raise Refused(line)
                if line == f"STREAM READY_TO_SEND ID={number}":
                    break

    def wait_for(self, number, data):
        """True if these bytes, and no others, come of a stream, and then its end."""
        while not (line := self.next()).startswith("STREAM CLOSED "):
            pass
        return values(line)["ID"] == str(number) and self.received.pop(str(number), b"") == data


def _version(net, theirs, version):
    name = f"kept-{version[0]}"
    old = Old(net.subject.ip, version, name)
    begun = time.monotonic()
    for number in range(1, _STREAMS + 1):
        waiting = theirs.accept()
        if not eventually(120, lambda: old.connect(number, theirs.destination), 2):
            raise Refused("no stream to i2pd")
        _exchange(net, old, number, waiting, waiting.file.readline().decode().split()[0] == old.destination)
    for number in range(-1, -_STREAMS - 1, -1):
        stream = eventually(120, lambda: _connect(theirs, old.destination), 2)
        if not stream:
            raise Refused("no stream from i2pd")
        while not (line := old.next()).startswith("STREAM CONNECTED "):
            pass
        old.listen(number)
        head = values(line)
        _exchange(net, old, number, stream, head["ID"] == str(number) and head["DESTINATION"] == theirs.destination)
    seconds = time.monotonic() - begun
    old.close()
    time.sleep(2)
    again = Old(net.subject.ip, version, name)
    if again.destination != old.destination:
        raise Failed(f"version {version}: a name has another destination after its session was closed", net.subject)
    again.close()
    return f"{version}: {_STREAMS} streams each way in {seconds:.0f} s"


def _connect(theirs, destination):
    try:
        return theirs.connect(destination)
    except Refused:
        return None


def _exchange(net, old, number, end, right):
    """Random bytes both ways between a numbered stream and a socket."""
    if not right:
        raise Failed(f"stream {number}: the one who called is not the one who was told", net.subject)
    sent, back = os.urandom(_SIZE), os.urandom(_SIZE)
    old.send(number, sent)
    if end.file.read(_SIZE) != sent:
        raise Failed(f"stream {number}: other bytes came to i2pd", net.subject, net.partner)
    end.socket.sendall(back)
    end.close()
    if not old.wait_for(number, back):
        raise Failed(f"stream {number}: other bytes came from i2pd, or another end", net.subject, net.partner)
