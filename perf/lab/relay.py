"""The network that most cases share: one client and one server, and between them Ramson in every role at once.

    1 client      i2pd, the HTTP proxies             7 java        Java I2P
    2 server      i2pd, the server tunnels           8 subject     the router under test
    3 p, 4 q      i2pd, fixed hops                   9 reference   an i2pd in the same place, to compare with
    5, 6          i2pd, floodfills                  10 caller      under test; known to the server alone, so it must call
                                                    11 callee      under test; it cannot call, only be called

Every case has a path of its own through it, fixed by explicit peers. A path is written nearest hop first, as i2pd reads it.
"""

from . import sam
from .download import Broken, Proxy
from .i2pd import I2pd
from .java import JavaRouter
from .network import Network
from .outcome import Failed
from .subject import subject


class RelayNetwork(Network):
    """See above. Who is under test speaks `transports`, with `ipv6` over nothing else; all others speak both."""

    name = "relay"
    transports = ("ntcp2",)
    ipv6 = False
    PLAIN, GATEWAY, JAVA = 4445, 4446, 4447  # ports of the client's proxies

    def __init__(self, lab):
        super().__init__(lab)
        self.client, self.server, self.p, self.q = (self.add(I2pd(self, n)) for n in (1, 2, 3, 4))
        self.floodfills = [self.add(I2pd(self, n, floodfill=True)) for n in (5, 6)]
        self.java = self.add(JavaRouter(self, 7))
        self.subject = self.add(subject(self, 8, transports=self.transports))
        self.reference = self.add(I2pd(self, 9, **{name: name in self.transports for name in ("ntcp2", "ssu2")}))
        self.caller = self.add(subject(self, 10, transports=self.transports), known=False)
        # Over UDP a call and an answer look alike, so there it is kept from calling by knowing nobody.
        tcp = "ssu2" not in self.transports
        self.callee = self.add(subject(self, 11, transports=self.transports), told=tcp)
        self._shy = []
        if tcp:
            self._forbid_calls()

    def add(self, router, **options):
        if self.ipv6:
            # i2pd builds no tunnels without IPv4; Java publishes one address for NTCP2.
            router.families = (4, 6) if router.kind == "i2pd" else (6,)
        return super().add(router, **options)

    def _forbid_calls(self):
        shy = [(peer, self.caller) for peer in (self.java, self.p)]
        shy += [(self.callee, router) for router in self.routers() if router is not self.callee]
        for router, other in shy:
            router.forbid_calls(other)
        self._shy = shy

    def configure(self):
        p, q, java, x, y = self.p, self.q, self.java, self.subject, self.reference
        serve, proxy = self.server.serve, self.client.proxy
        serve("participant", self.web, inbound=[p], outbound=[p, x, q])
        serve("reference", self.web, inbound=[p], outbound=[p, y, q])
        serve("endpoint", self.web, inbound=[p], outbound=[p, x])
        serve("plain", self.web, inbound=[p], outbound=[p])
        serve("java", self.web, inbound=[java], outbound=[java, x, q])
        self.server.learn(self.caller)
        serve("caller", self.web, inbound=[self.caller], outbound=[self.caller, java, q])
        serve("callee", self.web, inbound=[java], outbound=[java, self.callee])
        proxy("plain-proxy", self.PLAIN, inbound=[q], outbound=[q])
        proxy("gateway-proxy", self.GATEWAY, inbound=[q, x], outbound=[q])
        proxy("java-proxy", self.JAVA, inbound=[q], outbound=[q, x, java])

    def i2pds(self):
        """All i2pd that are peers of the router under test, not in its place."""
        return [self.client, self.server, self.p, self.q, *self.floodfills]

    def free_calls(self):
        """Ends what makes caller and callee what they are: neither is a good hop for the tunnels of others."""
        while self._shy:
            router, other = self._shy.pop()
            router.allow_calls(other)

    def download(self, tunnel, port, size, *involved):
        """Downloads `size` bytes from a server tunnel by a proxy.

        A transfer that breaks is begun once more, as tunnels expire; one that arrives with other bytes is never excused.
        """
        proxy, host, file = Proxy(self.client.ip, port), self.server.name_of(tunnel), self.web.file(size)
        limit = max(60, size / 500_000)
        try:
            try:
                return proxy.fetch(host, file, limit)
            except Broken:
                return proxy.fetch(host, file, limit)
        except Broken as e:
            raise Failed(f"no download: {e}", *involved, self.client, self.server) from e

    def warm(self, tunnel, port, *involved, limit=120):
        """Waits until a path stands and carries a first 2 MB, over which the streaming library opens its window."""
        proxy, host = Proxy(self.client.ip, port), self.server.name_of(tunnel)
        try:
            proxy.fetch_patiently(host, self.web.file(1_000), limit)
            proxy.fetch_patiently(host, self.web.file(2_000_000), limit)
        except Broken as e:
            raise Failed(f"no first byte in {limit} s: {e}", *involved, self.client, self.server) from e


class Ipv6RelayNetwork(RelayNetwork):
    """The same with IPv6 alone around the routers under test."""

    name = "relay-ipv6"
    ipv6 = True


class PublicRelayNetwork(RelayNetwork):
    """The same, which the router under test does not hold for a private one; programs speak SAM with it."""

    name = "relay-public"

    def __init__(self, lab):
        super().__init__(lab)
        self.subject.private, self.subject.sam_port = False, sam.PORT


class Ssu2RelayNetwork(RelayNetwork):
    """The same with SSU2 alone around the routers under test."""

    name = "relay-ssu2"
    transports = ("ssu2",)


class MixedRelayNetwork(RelayNetwork):
    """The same with both transports, as routers run; which of them carries a link is for the two routers to choose."""

    name = "relay-mixed"
    transports = ("ntcp2", "ssu2")


class Ssu2Ipv6RelayNetwork(Ipv6RelayNetwork):
    """The same with SSU2 alone around them."""

    name = "relay-ssu2-ipv6"
    transports = ("ssu2",)
