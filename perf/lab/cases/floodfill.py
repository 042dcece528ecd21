"""Ramson is all the floodfills there are: i2pd and Java, some over SSU2 alone, find each other, also after one is killed."""

import time

from ..download import Broken, Proxy
from ..i2pd import I2pd
from ..java import JavaRouter
from ..network import Network
from ..outcome import Failed, eventually
from ..subject import subject

_PROXY = 4445


class NETWORK(Network):
    """Two floodfills under test; i2pd as server, client, a client that comes later, and hops; Java as client.

    Java and the i2pd that comes later speak SSU2 alone.
    """

    name = "floodfill"

    def __init__(self, lab):
        super().__init__(lab)
        self.client, self.server = self.add(I2pd(self, 1)), self.add(I2pd(self, 2))
        self.hops = [self.add(I2pd(self, n)) for n in (3, 4, 5)]
        self.java = self.add(JavaRouter(self, 6, ntcp2=False))
        self.late = self.add(I2pd(self, 7, ntcp2=False), known=False, starts=False)
        self.floodfills = [self.add(subject(self, n, floodfill=True, transports=("ntcp2", "ssu2"))) for n in (8, 9)]

    def configure(self):
        # One hop: with two, five routers would leave hardly a path that Java does not refuse as going back and forth. No
        # floodfill, or the one that is killed would take tunnels with it, which i2pd notices after minutes.
        for name, hop in zip(("early", "later"), self.hops, strict=False):
            self.server.serve(name, self.web, inbound=[hop], outbound=[hop])
        for client in (self.client, self.late):
            client.proxy("proxy", _PROXY, inbound=[self.hops[2]], outbound=[self.hops[2]])


def run(net):
    first, second = net.floodfills
    file = net.web.file(1_000_000)
    i2pd_took = _find(net, net.client, "early", file)
    java_took = _find_by_java(net, "early", file)
    # A store at one is flooded to the other: both must have all that is published.
    if not eventually(30, lambda: all(router.stored("lease_set") >= 2 for router in net.floodfills)):
        raise Failed(f"LeaseSets: {[router.stored('lease_set') for router in net.floodfills]}, not 2 at both", first, second)

    kinds, identity = ("router_info", "lease_set"), first.hash()
    before = {kind: first.stored(kind) for kind in kinds}
    first.kill()
    _find(net, net.client, "later", file)
    first.start()
    if not eventually(20, lambda: first.stored("router_info")):
        raise Failed("it does not come back after a kill", first)
    after = {kind: first.stored(kind) for kind in kinds}
    if first.hash() != identity:
        raise Failed("it comes back as another router", first)
    # LeaseSets are kept in memory only.
    if after["router_info"] < before["router_info"] - 1:
        raise Failed(f"of {before} comes back only {after}", first)

    # A router that knows only what it was told at its first start, with nothing in its memory.
    net.late.start()
    late_took = _find(net, net.late, "later", file)
    text = "; ".join(f"{kind} {before[kind]} before a kill, {after[kind]} after" for kind in kinds)
    return f"found by i2pd in {i2pd_took:.0f} s, Java {java_took:.0f} s, a newcomer {late_took:.0f} s; {text}{_drain(second)}"


def _find(net, client, name, file):
    """Downloads by the proxy of `client`; returns the seconds until the file was there."""
    begin = time.monotonic()
    try:
        Proxy(client.ip, _PROXY).fetch_patiently(net.server.name_of(name), file, limit=120)
    except Broken as e:
        raise Failed(f"{client} does not reach {name}: {e}", *net.floodfills, client, net.server) from e
    return time.monotonic() - begin


def _find_by_java(net, name, file):
    begin = time.monotonic()
    lines = net.java.fetch(net.server.name_of(name), file, limit=120)
    last = (lines or [""])[-1].split()
    if last[:1] != ["sha256"]:
        raise Failed(f"java does not reach {name}: {' / '.join(lines[-3:])}", *net.floodfills, net.java)
    if last[1] != file.sha256:
        raise Failed(f"java got {last[2]} bytes with another SHA-256", *net.floodfills)
    return time.monotonic() - begin


def _drain(router):
    """Lets one end as an operator would."""
    if router.kind != "ramson":
        return ""
    begin = time.monotonic()
    status = router.drain(limit=20)
    if status != 0:
        raise Failed(f"asked to drain it ended with {status} after {time.monotonic() - begin:.0f} s", router)
    return f"; drained in {time.monotonic() - begin:.0f} s"
