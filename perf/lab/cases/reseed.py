"""A network of i2pd, Java and Ramson starts from nothing but `ramson reseed serve`; each verifies what it is sent."""

import os

from ..network import Network
from ..outcome import Failed, eventually
from ..reseed import ReseedHost, SeededI2pd, SeededJava, SeededRamson

NEEDS_RAMSON = True


class NETWORK(Network):
    """Two reseed hosts with a signer each; routers that are told of nobody."""

    name = "reseed"

    def __init__(self, lab):
        super().__init__(lab)
        self.ramsons = [
            self.add(SeededRamson(self, n, floodfill=n == 1, transports=("ntcp2", "ssu2")), told=False) for n in (1, 2)
        ]
        self.peers = [self.add(SeededI2pd(self, n), told=False) for n in (3, 4, 5)]
        self.java = self.add(SeededJava(self, 6), told=False)
        self.hosts = [ReseedHost(self, n) for n in (20, 21)]

    def configure(self):
        everyone = self.routers()
        for host in self.hosts:
            host.offer(everyone)
        for router in everyone:
            router.seed_from(self.hosts)

    def stop(self):
        for host in self.hosts:
            host.kill()
            host.remove()
        super().stop()


def run(net):
    others = len(net.routers()) - 1
    for router in net.ramsons:
        if not eventually(60, lambda: router.stored("router_info") >= others):
            raise Failed(f"{router} knows {router.stored('router_info')} of {others}", router)
        fetches = router.fetches()
        if fetches["good"] < len(net.hosts):
            raise Failed(f"{router} has heard {fetches}", router)
    for peer in net.peers:
        if not eventually(60, lambda: peer.known_routers() >= others):
            raise Failed(f"{peer} knows {peer.known_routers()} of {others}", peer)
        if refused := [line for line in peer.log_lines() if "verification failed" in line]:
            raise Failed(f"{peer} does not believe a bundle: {refused[0]}", peer)
    if not eventually(90, lambda: all(net.java.knows(router) for router in net.ramsons)):
        raise Failed(f"{net.java} does not know all", net.java)
    # Who knows others builds tunnels through them.
    if not eventually(120, lambda: all(router.builds()["ok"] for router in net.ramsons)):
        raise Failed("no tunnels through those who were heard of", *net.ramsons)
    return f"{others} routers known to each of {len(net.routers())}; {_without_hosts(net)}"


def _without_hosts(net):
    """With all hosts gone and its database lost, a router begins with the bundles that it kept."""
    router = net.ramsons[1]
    for host in net.hosts:
        host.kill()
    router.kill()
    if len(os.listdir(os.path.join(router.dir, "data", "reseed"))) != len(net.hosts):
        raise Failed("not every bundle was kept", router)
    router.forget()
    router.start()
    if not eventually(60, lambda: router.stored("router_info") > 1):
        raise Failed("it does not begin with what it kept", router)
    return "without hosts and database it begins with what it kept"
