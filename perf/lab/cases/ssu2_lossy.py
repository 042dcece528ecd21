"""Over SSU2 a download goes through Ramson, from i2pd to i2pd, when 2 % of its packets are lost, and others late."""

from ..carry import carry
from ..link import Link
from ..relay import Ssu2RelayNetwork

SLOW = True
_WAY = "delay=40ms,jitter=2ms,loss=2%,reorder=2%,late=10ms"  # each way: 80 ms there and back


class NETWORK(Ssu2RelayNetwork):
    """The same with such a link in front of the router under test, and of the i2pd to compare with."""

    name = "relay-lossy"

    def __init__(self, lab):
        super().__init__(lab)
        self._links = [Link(lab.link, router, forth=_WAY) for router in (self.subject, self.reference)]

    def stop(self):
        for link in self._links:
            link.remove()
        super().stop()


def run(net):
    size = 10_000_000
    ours = carry(net, net.subject, "participant", net.PLAIN, "participant", (net.p, net.q), size)
    theirs = carry(net, net.reference, "reference", net.PLAIN, None, (net.p, net.q), size)
    return f"{ours}; i2pd in its place {theirs}"
