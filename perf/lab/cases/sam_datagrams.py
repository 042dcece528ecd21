"""Programs at Ramson and at i2pd send each other datagrams of all kinds, by the sockets of their sessions and by UDP."""

import os
import socket
import time

from ..applications import Applications
from ..outcome import Failed, eventually
from ..sam import UDP_PORT, Refused, Session

NEEDS_RAMSON = True
NETWORK = Applications
_STYLES = ("DATAGRAM", "DATAGRAM2", "DATAGRAM3", "RAW")
_COUNT = 20  # of each kind and way; as datagrams may be lost, most must come
_MOST = 18
_PATIENCE = 120  # seconds until the first comes: LeaseSets are looked for


def run(net):
    facts = []
    for style in _STYLES:
        try:
            facts.append(f"{style.lower()}: {_style(net, style)}")
        except (Refused, OSError, KeyError) as e:
            raise Failed(f"{style}: {e!r}", net.subject, net.partner) from e
    facts.append(_by_udp(net))
    return "; ".join(facts)


def _session(host, style, name, **options):
    def attempt():
        try:
            return Session(host, name, style=style, version="3.3", **options)
        except Refused:
            return None

    session = eventually(240, attempt, 2)
    if not session:
        raise Refused(f"no session at {host}")
    return session


def _style(net, style):
    ours, theirs = (_session(router.ip, style, style.lower()) for router in (net.subject, net.partner))
    verb = "RAW" if style == "RAW" else "DATAGRAM"
    ways = [f"{_way(net, style, verb, *ends)} {name}" for name, ends in (("out", (ours, theirs)), ("in", (theirs, ours)))]
    ours.close()
    theirs.close()
    return f"{' and '.join(ways)} of {_COUNT}"


def _way(net, style, verb, sender, taker):
    """How many of `_COUNT` datagrams come, each with its bytes and its sender."""
    end = time.monotonic() + _PATIENCE
    while True:
        sender.send(taker.destination, b"first", verb)
        if taker.receive(3):
            break
        if time.monotonic() > end:
            raise Failed(f"{style}: none came from {sender.host}", net.subject, net.partner)
    while taker.receive(3):
        pass  # those that were only slow
    sent = [os.urandom(1 + 300 * n) for n in range(_COUNT)]
    came = 0
    for payload in sent:
        sender.send(taker.destination, payload, verb)
        got = taker.receive(5)
        if not got:
            continue
        head, data = got
        if data not in sent:
            raise Failed(f"{style}: other bytes came from {sender.host}", net.subject, net.partner)
        who = head.get("DESTINATION")
        if verb == "DATAGRAM" and who not in (sender.destination, sender.hash):
            raise Failed(f"{style}: somebody else's came from {sender.host}", net.subject, net.partner)
        came += 1
    if came < _MOST:
        raise Failed(f"{style}: {came} of {_COUNT} came from {sender.host}", net.subject, net.partner)
    return came


def _by_udp(net):
    """A program of Ramson's sends by UDP, and gets by UDP what i2pd's program answers."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((net.web.ip, 0))
    server.settimeout(3)
    port = server.getsockname()[1]
    ours = _session(net.subject.ip, "DATAGRAM", "udp", PORT=port, HOST=net.web.ip)
    theirs = _session(net.partner.ip, "DATAGRAM", "udp")
    for _ in range(40):
        server.sendto(f"3.3 udp {theirs.destination}\n".encode() + b"question", (net.subject.ip, UDP_PORT))
        if not (got := theirs.receive(3)):
            continue
        theirs.send(got[0]["DESTINATION"], b"answer")
        try:
            line, _, answer = server.recvfrom(65536)[0].partition(b"\n")
        except TimeoutError:
            continue
        if answer != b"answer" or line.decode().split()[0] != theirs.destination:
            raise Failed(f"by UDP came {line[:40]} and {answer[:40]}", net.subject)
        return "by UDP both ways"
    raise Failed("nothing came by UDP", net.subject, net.partner)
