"""Java's streaming library at Ramson's I2CP and at i2pd's calls one another: echoes, 20 MB, 100 streams at once; and what mistakes are answered."""

import os

from ..applications import Applications
from ..i2cp import Echo, Wire, call
from ..outcome import Failed

NEEDS_RAMSON = True
_ONE, _MANY = "1x1000", "100x20000"
_BIG, _QUICK_BIG = "1x20000000", "1x5000000"
_LIMIT = 300

NETWORK = Applications


def run(net):
    other = net.hops[-1]
    facts = [_echo(net, net.subject, net.partner, "to i2pd"), _echo(net, net.partner, net.subject, "from i2pd")]
    facts += [_echo(net, net.partner, other, "among i2pd"), _mistakes(net)]
    return "; ".join(facts)


def _echo(net, caller, server, way):
    big = _QUICK_BIG if net.lab.quick else _BIG
    folder = os.path.join(net.dir, "programs")
    os.makedirs(folder, exist_ok=True)
    echo = Echo(net.lab, folder, server)
    try:
        name = echo.name()
        if not name:
            raise Failed(f"{way}: no session: {echo.said()[-3:]}", net.subject, net.partner)
        lines, times = call(net.lab, folder, caller, name, [_ONE, big, _MANY], _LIMIT)
    finally:
        echo.stop()
    if len(times) < 3:
        raise Failed(f"{way}: {lines[-3:]}", net.subject, net.partner)
    rate = int(big.split("x")[1]) / times[big] / 1000
    return f"{way}: echo in {times[_ONE]} ms, {rate:.2f} MB/s both ways, 100 streams in {times[_MANY] / 1000:.1f} s"


def _mistakes(net):
    """Who says what cannot be is told so, and the connection ends; others are not disturbed."""
    wrong = []
    for what, kind, body, length, words in (
        ("a length of 4 GB", 32, b"", 0xFFFFFFFF, "Error reading message"),
        ("half a destination", 1, b"\x00" * 100, None, "Error reading message"),
        ("a lease set without session", 41, b"\x00\x01\x03", None, "CreateLeaseSet invalid session"),
    ):
        with Wire(net.subject.ip) as wire:
            wire.send(kind, body, length)
            reason = wire.ending()
        if words not in (reason or ""):
            wrong.append(f"{what}: {reason!r}")
    with Wire(net.subject.ip, b"POST / HTTP/1.1\r\n\r\n") as page:
        if page.ending() != "":
            wrong.append("a web page was answered")
    if wrong:
        raise Failed("; ".join(wrong), net.subject)
    return "4 mistakes answered"
