"""Streams between destinations of Ramson and i2pd, each way: 100 MB with their SHA-256, and many at once."""

import threading

from ..download import Broken, Direct, Proxy
from ..i2pd import I2pd
from ..network import Network
from ..outcome import Failed
from ..subject import subject

NEEDS_RAMSON = True
_PORT, _PROXY, _OWN_PROXY = 4600, 4601, 4602
_SIZE, _QUICK_SIZE = 100_000_000, 10_000_000
_MANY, _QUICK_MANY = 200, 20
_EVENTS = "ramson_destination_events_total"


class NETWORK(Network):
    """Ramson and an i2pd with destinations, and enough i2pd between them for tunnels of two hops."""

    name = "streams-i2pd"

    def __init__(self, lab):
        super().__init__(lab)
        self.partner = self.add(I2pd(self, 1))
        self.hops = [self.add(I2pd(self, n, floodfill=n < 5)) for n in range(2, 9)]
        self.subject = self.add(subject(self, 10))
        self.subject.serve("site", self.web)
        self.subject.proxy_port = _OWN_PROXY
        self.partner.serve("site", self.web, inbound=2, outbound=2)

    def configure(self):
        self.subject.reach("to-i2pd", _PORT, self.partner.name_of("site"))
        self.partner.proxy("proxy", _PROXY, inbound=2, outbound=2)


def ways(net):
    """Both ways of a download: who fetches, and from where."""
    return {
        "from i2pd": (Direct(net.subject.ip, _PORT), ""),
        "from i2pd through the HTTP proxy": (Proxy(net.subject.ip, _OWN_PROXY), net.partner.name_of("site")),
        "to i2pd": (Proxy(net.partner.ip, _PROXY), net.subject.name_of("site")),
    }


def run(net):
    words = "; ".join(_way(net, name, *way) for name, way in ways(net).items())
    hybrid, given_up = (net.subject.metrics().total(_EVENTS, event=event) for event in ("hybrid", "hybrid_given_up"))
    # Where a tunnel of the young network is dead, one is given up.
    if hybrid <= given_up:
        raise Failed(f"{hybrid:.0f} sessions by ML-KEM, which i2pd does, and {given_up:.0f} given up", net.subject, net.partner)
    pinged = net.subject.ping(net.partner.name_of("site"))
    if "2 of 2 answered" not in pinged:
        raise Failed(f"ramson ping: {pinged}", net.subject, net.partner)
    return f"{words}; {hybrid:.0f} sessions by ML-KEM; pings: {pinged.splitlines()[-1]}"


def _way(net, name, way, host):
    size = _QUICK_SIZE if net.lab.quick else _SIZE
    try:
        first = way.fetch_patiently(host, net.web.file(1_000), 180)
        transfer = way.fetch(host, net.web.file(size), limit=max(120, size / 200_000))
        many = _many(net, way, host)
    except Broken as e:
        raise Failed(f"{name}: {e}", net.subject, net.partner) from e
    return f"{name}: first byte page {first.seconds:.1f} s, {size // 1_000_000} MB at {transfer.rate:.2f} MB/s, {many}"


def _many(net, way, host):
    """Downloads at once; all must arrive."""
    count = _QUICK_MANY if net.lab.quick else _MANY
    broken = []

    def fetch():
        try:
            way.fetch(host, net.web.file(50_000), limit=180, stall=90)
        except Broken as e:
            broken.append(e)

    threads = [threading.Thread(target=fetch) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise Broken(f"{len(broken)} of {count} at once broke, such as: {broken[0]}")
    return f"{count} at once"
