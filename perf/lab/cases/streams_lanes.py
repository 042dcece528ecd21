"""Where each hop is slow, a stream from Ramson to i2pd takes several of its tunnels and i2pd's leases at once, and is faster for it."""

import time

from ..download import Broken, Proxy
from ..i2pd import I2pd
from ..leaves import EndI2pd, EndRamson
from ..link import Link
from ..network import Network
from ..outcome import Failed

NEEDS_RAMSON = True
SLOW = True  # it takes a minute or two until a stream has found out what its ways bear
_PROXY = 4601
_SIZE = 30_000_000
_HOME = 60  # seconds until Ramson has met several routers at which its tunnels may begin
_WAY = "rate=0.2MB/s,queue=200ms,delay=20ms"  # of each hop, each way


class NETWORK(Network):
    """An i2pd that reads from Ramson, and from an i2pd to compare with. What they send passes one hop, any of ten, and the reader's tunnels
    one that is fast; it is slow for the two alone, should they choose it."""

    name = "streams-lanes"

    def __init__(self, lab):
        super().__init__(lab)
        self.reader = self.add(EndI2pd(self, 1))
        self.gate = self.add(I2pd(self, 2))
        self.hops = [self.add(I2pd(self, n, floodfill=n < 7)) for n in range(3, 13)]
        self.subject, self.reference = self.add(EndRamson(self, 20)), self.add(EndI2pd(self, 21))
        self.reference.serve("site", self.web, 1, 4)
        self._links = [Link(lab.link, router, forth=_WAY) for router in self.hops]
        self._links += [Link(lab.link, self.gate, server, forth=_WAY) for server in (self.subject, self.reference)]

    def configure(self):
        self.reader.proxy("proxy", _PROXY, inbound=[self.gate], outbound=[self.gate], quantity=4)

    def stop(self):
        for link in self._links:
            link.remove()
        super().stop()


def run(net):
    time.sleep(_HOME)
    net.subject.serve("site", net.web, 1, 4)
    net.subject.reload()
    rates = []
    for server in (net.subject, net.reference):
        way, host = Proxy(net.reader.ip, _PROXY), server.name_of("site")
        try:
            way.fetch_patiently(host, net.web.file(1_000), 180)
            rates.append(way.fetch(host, net.web.file(_SIZE), limit=_SIZE / 20_000, stall=60).rate)
        except Broken as e:
            raise Failed(f"from {server}: {e}", server, net.reader) from e
    events = net.subject.metrics().by("ramson_destination_events_total", "event")
    opened, kept = (int(events.get(event, 0)) for event in ("lane_opened", "lane_kept"))
    facts = f"{_SIZE // 1_000_000} MB at {rates[0]:.2f} MB/s, {kept} of {opened} further lanes kept; from an i2pd {rates[1]:.2f}"
    if not kept:
        raise Failed(f"one way was all that was taken: {facts}", net.subject)
    return facts
