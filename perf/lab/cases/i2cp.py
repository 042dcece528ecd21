"""Java's streaming library at Ramson's I2CP and at i2pd's calls one another: echoes, 20 MB, 100 streams at once, and by TLS."""

import os

from ..applications import Applications
from ..i2cp import Echo, call
from ..outcome import Failed

NEEDS_RAMSON = True
_ONE, _MANY = "1x1000", "100x20000"
_BIG, _QUICK_BIG = "1x20000000", "1x5000000"
_LIMIT = 300

NETWORK = Applications


def run(net):
    other = net.hops[-1]
    facts = [_echo(net, net.subject, net.partner, "to i2pd"), _echo(net, net.partner, net.subject, "from i2pd")]
    facts += [_echo(net, net.partner, other, "among i2pd"), _echo(net, net.partner, net.subject, "by TLS", tls=True)]
    return "; ".join(facts)


def _echo(net, caller, server, way, tls=False):
    big = _QUICK_BIG if net.lab.quick else _BIG
    folder = os.path.join(net.dir, "programs")
    os.makedirs(folder, exist_ok=True)
    echo = Echo(net.lab, folder, server, tls=tls)
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
