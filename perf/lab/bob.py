"""A program that speaks BOB, from the specification alone: the same against Ramson and i2pd."""

import socket

PORT = 2827
_LIMIT = 240  # seconds for anything


class Refused(Exception):
    """What a server answered instead of OK."""


class Bob:
    """A command socket."""

    def __init__(self, host):
        self.host = host
        self._socket = socket.create_connection((host, PORT), timeout=_LIMIT)
        self._file = self._socket.makefile("r", newline="\n")
        self.greeting = [self._file.readline(), self._file.readline()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Hangs up; tunnels go on."""
        self._file.close()
        self._socket.close()

    def ask(self, line):
        """The answer to a line, with the DATA lines before it."""
        self._socket.sendall(f"{line}\n".encode())
        said = ""
        while True:
            more = self._file.readline()
            said += more
            if not more.startswith("DATA"):
                return said.rstrip("\n")

    def ok(self, line):
        """What follows OK."""
        answer = self.ask(line)
        if not answer.startswith("OK"):
            raise Refused(f"{line[:40]}: {answer[:200]}")
        return answer[3:]


def serve(host, name, to, *more):
    """Has a tunnel of this name lead to a server `to` of the programs', with further lines; returns its destination."""
    return _start(host, name, f"outhost {to[0]}", f"outport {to[1]}", *more)


def listen(host, name, port, *more):
    """Has a tunnel of this name listen on a port; returns its destination."""
    return _start(host, name, f"inhost {host}", f"inport {port}", *more)


def _start(host, name, *lines):
    with Bob(host) as bob:
        bob.ok(f"setnick {name}")
        key = bob.ok("newkeys")
        for line in (*lines, "start"):
            bob.ok(line)
    return key


def call(host, port, to):
    """A connection to a tunnel that listens, for the destination or name `to`."""
    end = socket.create_connection((host, port), timeout=_LIMIT)
    end.sendall(f"{to}\n".encode())
    return end
