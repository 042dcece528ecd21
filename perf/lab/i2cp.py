"""Programs that speak I2CP: Java's streaming library, and bytes by hand."""

import os
import shutil
import socket
import struct
import subprocess

from .java import I2CP as JAVA_PORT
from .java import class_path
from .outcome import eventually

PORT, TLS_PORT = 7654, 7667


class Echo:
    """A program of Java's that has a destination at a router, and sends back what comes. Without a file of keys it makes one.
    With `tls` it speaks I2CP by TLS, beside the router."""

    def __init__(self, lab, folder, router, options="-", keys=None, tls=False):
        keys = keys or os.path.join(folder, f"echo-{router.n}{'-tls' * tls}.keys")
        self._out, self._router = f"{keys}.log", router

        def run():
            with open(self._out, "wb") as log:
                start, command = _program(lab, folder, router, options, tls)
                return start([*command, "serve", keys], stdout=log, stderr=subprocess.STDOUT, cwd=folder)

        self._run, self._process = run, run()

    def said(self):
        """What it has printed."""
        with open(self._out, errors="replace") as f:
            return f.read().splitlines()

    def name(self, limit=180):
        """Its .b32.i2p name, when it has tunnels; None if that is not in time."""

        def named():
            # An i2pd sometimes lets no session in at first. The router under test has to at once.
            if self._router.kind == "i2pd" and self._process.poll() is not None:
                self._process = self._run()
            return next((line for line in self.said() if line.endswith(".b32.i2p")), None)

        return eventually(limit, named, 0.5)

    def stop(self):
        self._process.kill()
        self._process.wait()


def make_keys(lab, folder, kind, offline=False):
    """A file with new keys whose signatures are of this kind, or with a transient key that those have signed."""
    # Two of the same destination would not be let in together.
    file = os.path.join(folder, f"{kind}{'-offline' * offline}.keys")
    online = f"{file}-online"
    for words in [("-c", kind, file), *([("-r", kind, "-o", file, online)] if offline else [])]:
        command = ["java", "-cp", class_path(lab), "net.i2p.data.PrivateKeyFile", *words]
        subprocess.run(command, capture_output=True, check=False, timeout=60)
    return online if offline else file


def call(lab, folder, router, name, rounds, limit, options="-", tls=False):
    """Has a program at `router` call an `Echo`; returns the lines that it printed and milliseconds by round."""
    start, command = _program(lab, folder, router, options, tls)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = start([*command, "call", name, str(limit), *rounds], text=True, cwd=folder, **pipes)
    try:
        lines = process.communicate(timeout=limit + 120)[0].splitlines()
    except subprocess.TimeoutExpired:
        process.kill()
        lines = [*process.communicate()[0].splitlines(), "it did not end in time"]
    words = [line.split() for line in lines if line.startswith("echoed ")]
    return lines, {round: int(milliseconds) for _, round, milliseconds in words}


def _program(lab, folder, router, options, tls):
    """What starts the program, and its command up to what it is to do."""
    java, program = ["java", "-Xmx256m", "-XX:+UseSerialGC"], ["-cp", class_path(lab), "JavaEcho"]
    if not tls:
        port = JAVA_PORT if router.kind == "java" else PORT
        return subprocess.Popen, [*java, *program, router.ip, str(port), options]
    # It trusts what lies in a folder of its configuration, and the certificate is for this machine's own names.
    trusts = os.path.join(folder, f"trusts-{router.n}")
    certificates = os.path.join(trusts, "certificates", "i2cp")
    os.makedirs(certificates, exist_ok=True)
    shutil.copy(router.certificate, os.path.join(certificates, "router.crt"))
    return router.spawn, [*java, f"-Di2p.dir.config={trusts}", *program, "127.0.0.1", str(TLS_PORT), f"i2cp.SSL=true,{options}"]


class Wire:
    """A connection to an I2CP server, for what no program would send."""

    def __init__(self, host, first=b"\x2a"):
        self._socket = socket.create_connection((host, PORT), timeout=30)
        self._socket.sendall(first)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, kind, body, length=None):
        """Sends a message, which may lie about its length."""
        self._socket.sendall(struct.pack(">IB", len(body) if length is None else length, kind) + body)

    def receive(self):
        """The type and body of the next message; None at the end."""
        head = self._read(5)
        if len(head) < 5:
            return None
        length, kind = struct.unpack(">IB", head)
        return kind, self._read(length)

    def _read(self, length):
        data = b""
        try:
            while len(data) < length and (more := self._socket.recv(length - len(data))):
                data += more
        except OSError:
            pass  # closed, or nothing came
        return data

    def ending(self):
        """The reason of a Disconnect, "" if the connection is closed without one, None if it stays open."""
        self._socket.settimeout(5)
        try:
            while message := self.receive():
                if message[0] == 30:
                    return message[1][1:].decode("utf-8", "replace")
        finally:
            self._socket.settimeout(30)
        return ""
