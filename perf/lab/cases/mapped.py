"""A gateway maps ports for Ramson by UPnP, NAT-PMP and PCP, forgets them in a restart, maps them anew, and has them back at the end."""

import re
import time

from ..igd import Gateway
from ..outcome import Failed, eventually
from ..reached import ReachedNetwork

NEEDS_RAMSON = True
SLOW = True


class NETWORK(ReachedNetwork):
    """The subject behind a NAT whose gateway is asked for ports."""

    name = "mapped"

    def place(self, subject):
        subject.hide()
        self.gateway = Gateway(subject)

    def stop(self):
        self.gateway.stop()
        super().stop()


def run(net):
    subject, gateway = net.subject, net.gateway
    took = []
    for protocols in ("upnp", "natpmp", "pcp"):
        gateway.start(protocols)
        subject.start()
        begin = time.monotonic()
        if not eventually(60, lambda: len(gateway.mappings()) >= 2 and subject.is_published()):
            raise Failed(f"no ports by {protocols}: {gateway.mappings()}, published {subject.is_published()}", subject)
        took.append(f"{protocols} {time.monotonic() - begin:.0f} s")
        if protocols == "pcp":
            break
        subject.drain()
        if not eventually(10, lambda: not gateway.mappings()):
            raise Failed(f"it has ended, and its ports are still mapped: {gateway.mappings()}", subject)
        gateway.stop()
    gateway.stop()
    gateway.start("pcp")
    if not eventually(180, lambda: len(gateway.mappings()) >= 2):
        raise Failed("the gateway was restarted, and nothing is mapped anew", subject)
    net.until_published()
    hops = net.until_hop()
    return f"mapped by {', '.join(took)}; anew after a restart; {hops} tunnels through it"
