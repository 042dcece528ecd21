"""Behind a home's gateway Ramson has its ports mapped by UPnP and by PCP, is called there, and gives them back at its end."""

from ..outcome import Failed, eventually
from ..reached import ReachedNetwork
from ..upnpd import MiniUpnpd, make_public

NEEDS_RAMSON = True
SLOW = True
_BOTH = 2  # a port for each transport
_PATIENCE = 180  # mappings are asked for anew every two minutes


class NETWORK(ReachedNetwork):
    """The subject behind such a gateway."""

    name = "port-mapping"

    def place(self, subject):
        subject.hide()
        self.gateway = MiniUpnpd(subject)

    def stop(self):
        self.gateway.stop()
        super().stop()


def run(net):
    subject, gateway = net.subject, net.gateway
    make_public([*net.peers(), subject], subject)
    gateway.start(pcp=False)
    subject.start()
    _until_mapped(net, "upnp")
    net.until_published()
    ways, hops = net.until_called(), net.until_hop()
    gateway.stop()
    gateway.start(pcp=False)
    begin = net.uptime()
    _until_mapped(net, "upnp")
    again = net.uptime() - begin
    _end(net)
    gateway.stop()
    gateway.start(upnp=False)
    subject.start()
    _until_mapped(net, "pcp")
    _end(net)
    net.without_complaint()
    return f"{ways} kinds of sessions and {hops} tunnels through it by UPnP, mapped anew {again:.0f} s after the gateway's restart; by PCP; given back"


def _until_mapped(net, protocol):
    asked = lambda: net.subject.metrics().like("^ramson_gateway_requests_total")
    if not eventually(_PATIENCE, lambda: net.gateway.mapped() == _BOTH):
        raise Failed(f"{net.gateway.mapped()} ports are mapped by {protocol}; {asked()}", net.subject)
    if not net.subject.metrics().total("ramson_gateway_requests_total", protocol=protocol, outcome="mapped"):
        raise Failed(f"mapped, but not by {protocol}: {asked()}", net.subject)


def _end(net):
    net.subject.drain()
    if not eventually(10, lambda: net.gateway.mapped() == 0):
        raise Failed(f"{net.gateway.mapped()} ports stay mapped after its end", net.subject)
