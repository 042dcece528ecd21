"""Streams between Ramson and i2pd, each way, when 2 % of all packets at Ramson are lost, and others come late."""

from ..download import Broken, Direct, Proxy
from ..i2pd import I2pd
from ..link import Link
from ..network import Network
from ..outcome import Failed
from ..subject import subject

NEEDS_RAMSON = True
_PORT, _PROXY = 4600, 4601
_SIZE, _QUICK_SIZE = 20_000_000, 5_000_000
_WAY = "delay=40ms,jitter=2ms,loss=2%,reorder=2%,late=10ms"  # each way: 80 ms there and back


class NETWORK(Network):
    """Ramson, and an i2pd to compare with, each behind such a link, and an i2pd with whom both have streams.

    Over SSU2 alone: with NTCP2 the kernels of both ends would repair what is lost, and the router see nothing of it.
    """

    name = "streams-lossy"

    def __init__(self, lab):
        super().__init__(lab)
        self.partner = self.add(I2pd(self, 1))
        self.hops = [self.add(I2pd(self, n, floodfill=n < 5)) for n in range(2, 9)]
        self.subject = self.add(subject(self, 10, transports=("ssu2",)))
        self.reference = self.add(I2pd(self, 11, ntcp2=False))
        for router in (self.partner, self.subject, self.reference):
            router.serve("site", self.web)
        self._links = [Link(lab.link, router, forth=_WAY) for router in (self.subject, self.reference)]

    def configure(self):
        for router in (self.subject, self.reference):
            router.reach("to-partner", _PORT, self.partner.name_of("site"))
        self.partner.proxy("proxy", _PROXY, inbound=2, outbound=2)

    def stop(self):
        for link in self._links:
            link.remove()
        super().stop()


def run(net):
    size = _QUICK_SIZE if net.lab.quick else _SIZE
    facts = []
    for name, here in (("Ramson", net.subject), ("an i2pd in its place", net.reference)):
        rates = []
        for way, host in ((Direct(here.ip, _PORT), ""), (Proxy(net.partner.ip, _PROXY), here.name_of("site"))):
            try:
                way.fetch_patiently(host, net.web.file(1_000), 180)
                rates.append(way.fetch(host, net.web.file(size), limit=size / 50_000, stall=60).rate)
            except Broken as e:
                if here is net.subject:
                    raise Failed(f"{'to' if rates else 'from'} i2pd: {e}", here, net.partner) from e
                rates.append(0)
        facts.append(f"{name}: {size // 1_000_000} MB at {rates[0]:.2f} MB/s from i2pd, {rates[1]:.2f} to it")
    return "; ".join(facts)
