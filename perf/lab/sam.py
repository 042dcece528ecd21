"""A program that speaks SAM, from the specification alone: the same against Ramson and i2pd."""

import base64
import hashlib
import os
import socket
import threading
import zlib

PORT = 7656
UDP_PORT = 7655
_LIMIT = 240  # seconds for anything: tunnels and LeaseSets take their time


class Refused(Exception):
    """What a server answered instead of OK."""


class Socket:
    """One socket to a SAM server, after HELLO."""

    def __init__(self, host, version="3.1", hello=True):
        """At the port of a host; or by what `host` returns, if it is a function, a socket that is connected."""
        self.socket = host() if callable(host) else socket.create_connection((host, PORT), timeout=_LIMIT)
        self.socket.settimeout(_LIMIT)
        self.file = self.socket.makefile("rb")
        if hello:
            self.ok(f"HELLO VERSION MIN={version} MAX={version}")

    def ask(self, line):
        """The line that is answered, empty if the socket is closed instead."""
        try:
            self.socket.sendall(line.encode() + b"\n")
            return self.file.readline().decode().rstrip("\n")
        except ConnectionError:
            return ""

    def ok(self, line):
        """The values of an answer, which must be OK."""
        reply = self.ask(line)
        if " RESULT=OK" not in reply:
            raise Refused(f"{line[:60]}: {reply or 'closed'}")
        return values(reply)

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def values(reply):
    """The pairs of a line whose values have no blanks."""
    return dict(word.split("=", 1) for word in reply.split() if "=" in word)


class Session:
    """A session with streams, on a server at `host`."""

    def __init__(self, host, name, style="STREAM", version="3.1", destination="TRANSIENT", **options):
        self.host, self.name = host, name
        self.control = Socket(host, version)
        words = {
            "STYLE": style, "ID": name, "DESTINATION": destination, "SIGNATURE_TYPE": 7,
            "i2cp.leaseSetEncType": "4", "inbound.length": 2, "outbound.length": 2,
            "inbound.quantity": 2, "outbound.quantity": 2, **options,
        }
        self.options = words
        line = " ".join(f"{key}={value}" for key, value in words.items())
        self.private = self.control.ok(f"SESSION CREATE {line}")["DESTINATION"]
        self.destination = self.control.ok("NAMING LOOKUP NAME=ME")["VALUE"]

    @property
    def raw(self):
        """Its destination."""
        return base64.b64decode(self.destination.translate(str.maketrans("-~", "+/")))

    @property
    def raw_hash(self):
        """Its hash."""
        return hashlib.sha256(self.raw).digest()

    @property
    def hash(self):
        """Its hash in base 64."""
        return base64.b64encode(self.raw_hash).decode().translate(str.maketrans("+/", "-~"))

    @property
    def b32(self):
        """Its name."""
        return base64.b32encode(self.raw_hash).decode().lower().rstrip("=") + ".b32.i2p"

    def connect(self, to, **options):
        """A socket that has become a stream to a destination or name."""
        stream = Socket(self.host)
        words = "".join(f" {key}={value}" for key, value in options.items())
        stream.ok(f"STREAM CONNECT ID={self.name} DESTINATION={to} SILENT=false{words}")
        return stream

    def accept(self):
        """A socket that waits for a stream."""
        waiting = Socket(self.host)
        waiting.ok(f"STREAM ACCEPT ID={self.name} SILENT=false")
        return waiting

    def send(self, to, payload, verb="DATAGRAM", **options):
        """Sends a datagram by the socket of the session."""
        words = "".join(f" {key}={value}" for key, value in options.items())
        head = f"{verb} SEND DESTINATION={to} SIZE={len(payload)}{words}\n"
        self.control.socket.sendall(head.encode() + payload)

    def receive(self, limit):
        """The next datagram on the socket of the session: the values of its line and its bytes; None after `limit` seconds."""
        self.control.socket.settimeout(limit)
        try:
            head = values(self.control.file.readline().decode())
            return head, self.control.file.read(int(head["SIZE"]))
        except TimeoutError:
            # What is read of a file that has timed out once is an error from then on.
            self.control.file = self.control.socket.makefile("rb")
            return None
        finally:
            self.control.socket.settimeout(_LIMIT)

    def close(self):
        self.control.close()


def blinded(destination):
    """The long name of a destination in base 64 whose key is of 32 bytes."""
    raw = base64.b64decode(destination.translate(str.maketrans("-~", "+/")))
    key, kind = raw[352:384], raw[388]
    head = bytes(a ^ b for a, b in zip(bytes((0, kind, 11)), zlib.crc32(key).to_bytes(4, "little")))
    return base64.b32encode(head + key).decode().rstrip("=").lower() + ".b32.i2p"


def exchange(caller, taker, size):
    """Random bytes both ways at once between two ends of a stream; True if what arrives is what was sent."""
    sent = [os.urandom(size), os.urandom(size)]
    got = [None, None]

    def write(end, data):
        end.socket.sendall(data)

    def read(n, end):
        digest, left = hashlib.sha256(), size
        while left and (data := end.file.read1(min(left, 65536))):
            digest.update(data)
            left -= len(data)
        got[n] = digest.digest()

    threads = [
        threading.Thread(target=write, args=(caller, sent[0])),
        threading.Thread(target=write, args=(taker, sent[1])),
        threading.Thread(target=read, args=(0, taker)),
        threading.Thread(target=read, args=(1, caller)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got == [hashlib.sha256(data).digest() for data in sent]
