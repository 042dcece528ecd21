"""Programs reach Ramson's SAM by its UNIX socket and by TLS with its certificate, and have streams with i2pd's both ways; whoever speaks no TLS is let alone."""

import os
import socket
import ssl

from ..applications import Applications
from ..outcome import Failed, eventually
from ..ramson import SAM_TLS
from ..sam import Refused, Session

NEEDS_RAMSON = True
NETWORK = Applications
_SIZE = 20_000  # what is on its way without anybody reading


def run(net):
    def unix():
        end = socket.socket(socket.AF_UNIX)
        end.connect(net.subject.sam_socket)
        return end

    def tls():
        context = ssl.create_default_context(cafile=net.subject.certificate)
        context.check_hostname = False
        return context.wrap_socket(socket.create_connection((net.subject.ip, SAM_TLS)))

    theirs = eventually(60, lambda: _session(net.partner.ip, "behind"), 1)
    for name, door in (("unix", unix), ("tls", tls)):
        ours = eventually(60, lambda door=door, name=name: _session(door, f"by-{name}"), 1)
        if not ours or not theirs:
            raise Failed(f"no session at {'i2pd' if ours else f'Ramson by {name}'}", net.subject, net.partner)
        for caller, taker in ((ours, theirs), (theirs, ours)):
            waiting = taker.accept()
            stream = eventually(120, lambda: _connect(caller, taker), 2)
            if not stream:
                raise Failed(f"no stream by {name}", net.subject, net.partner)
            if waiting.file.readline().split()[0].decode() != caller.destination:
                raise Failed(f"by {name} another one called", net.subject)
            for sender, receiver in ((stream, waiting), (waiting, stream)):
                sent = os.urandom(_SIZE)
                sender.socket.sendall(sent)
                if receiver.file.read(_SIZE) != sent:
                    raise Failed(f"by {name} other bytes arrived than were sent", net.subject)
            stream.close()
            waiting.close()
        ours.close()
    theirs.close()
    with socket.create_connection((net.subject.ip, SAM_TLS)) as plain:
        plain.settimeout(15)
        plain.sendall(b"HELLO VERSION\n" * 20)
        if b"HELLO" in plain.recv(1000):
            raise Failed("the door of TLS speaks plainly", net.subject)
    return "streams both ways by UNIX socket and by TLS, called by both"


def _session(host, name):
    try:
        return Session(host, name)
    except (Refused, OSError):
        return None


def _connect(caller, taker):
    try:
        return caller.connect(taker.destination)
    except Refused:
        return None
