"""The dialogue of Bitcoin Core, line for line: `take` prints a destination and echoes what comes, `call DESTINATION SIZE` sends bytes
and wants them back.

It keeps its keys, looks a .b32.i2p name up on the socket that calls, takes values as they stand (without quotes), and waits for one
stream at a time.
"""

import base64
import hashlib
import os
import socket
import sys

_SWAP, _BACK = str.maketrans("+/", "-~"), str.maketrans("-~", "+/")


class Wrong(Exception):
    """An answer that Bitcoin Core does not take."""


class Sam:
    """One socket, as `Session` there has them."""

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", 7656), timeout=180)
        self.file = self.socket.makefile("rb")
        self.ask("HELLO VERSION MIN=3.1 MAX=3.1")

    def line(self):
        """The next line; an end is none."""
        line = self.file.readline(65536)
        if not line.endswith(b"\n"):
            raise Wrong(f"the socket ended after {line!r}")
        return line[:-1].decode()

    def ask(self, line):
        """The values of an answer, cut at blanks and the first `=`."""
        self.socket.sendall(line.encode() + b"\n")
        reply = self.line()
        values = dict(word.split("=", 1) if "=" in word else (word, None) for word in reply.split(" "))
        if values.get("RESULT", "OK") != "OK":
            raise Wrong(f"{line[:50]}: {reply}")
        return values


def _session(kept):
    control = Sam()
    name = os.urandom(5).hex()
    tail = "i2cp.leaseSetEncType=4,0 inbound.quantity={0} outbound.quantity={0}"
    if kept:
        private = control.ask("DEST GENERATE SIGNATURE_TYPE=7")["PRIV"]
        control.ask(f"SESSION CREATE STYLE=STREAM ID={name} DESTINATION={private} {tail.format(3)}")
    else:
        words = f"SESSION CREATE STYLE=STREAM ID={name} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {tail.format(1)}"
        private = control.ask(words)["DESTINATION"]
    raw = base64.b64decode(private.translate(_BACK))
    public = raw[: 387 + int.from_bytes(raw[385:387], "big")]
    return control, name, base64.b64encode(public).decode().translate(_SWAP)


def take():
    control, name, public = _session(kept=True)
    print("DESTINATION", public, flush=True)
    while True:
        with_peer = Sam()
        with_peer.ask(f"STREAM ACCEPT ID={name} SILENT=false")
        with_peer.socket.settimeout(None)
        # The line of the peer is base 64 and nothing else.
        base64.b64decode(with_peer.line().translate(_BACK), validate=True)
        while data := with_peer.file.read1(65536):
            with_peer.socket.sendall(data)
        assert control


def call(destination, size):
    _control, name, _ = _session(kept=False)
    raw = base64.b64decode(destination.translate(_BACK))
    b32 = base64.b32encode(hashlib.sha256(raw).digest()).decode().lower().rstrip("=") + ".b32.i2p"
    stream = Sam()
    value = stream.ask(f"NAMING LOOKUP NAME={b32}")["VALUE"]
    stream.ask(f"STREAM CONNECT ID={name} DESTINATION={value} SILENT=false")
    sent, got = os.urandom(size), b""
    stream.socket.sendall(sent)
    while len(got) < size and (data := stream.file.read1(65536)):
        got += data
    print("ok" if got == sent else "other bytes", flush=True)


if __name__ == "__main__":
    take() if sys.argv[1] == "take" else call(sys.argv[2], int(sys.argv[3]))
