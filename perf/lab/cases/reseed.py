"""A network of i2pd, Java and Ramson starts from nothing but `ramson reseed serve`; each verifies what it is sent."""

import os

from ..network import Network
from ..outcome import Failed, eventually
from ..reseed import ReseedHost, SeededI2pd, SeededJava, SeededRamson, bundle_by_java, verified_by_java

NEEDS_RAMSON = True
# The bundles have those alone who say that they can be called; who knows more has learnt of them in the network.
_LEAST = 3


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
    for router in net.ramsons:
        if not eventually(60, lambda: router.stored("router_info") >= _LEAST):
            raise Failed(f"{router} knows {router.stored('router_info')} others", router)
        fetches = router.fetches()
        if fetches["good"] < len(net.hosts):
            raise Failed(f"{router} has heard {fetches}", router)
    for peer in net.peers:
        if not eventually(60, lambda: peer.known_routers() >= _LEAST):
            raise Failed(f"{peer} knows {peer.known_routers()} others", peer)
        if refused := [line for line in peer.log_lines() if "verification failed" in line]:
            raise Failed(f"{peer} does not believe a bundle: {refused[0]}", peer)
    if not eventually(90, lambda: all(net.java.knows(router) for router in net.ramsons)):
        raise Failed(f"{net.java} does not know all", net.java)
    # Who knows others builds tunnels through them.
    if not eventually(120, lambda: all(router.builds()["ok"] for router in net.ramsons)):
        raise Failed("no tunnels through those who were heard of", *net.ramsons)
    known = min(router.stored("router_info") for router in net.ramsons)
    return f"{known} of {len(net.routers()) - 1} others known; {_without_hosts(net)}"


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
    if not eventually(60, lambda: router.stored("router_info")):
        raise Failed("it does not begin with what it kept", router)
    return f"without hosts and database it begins with what it kept; {_by_hand(net, router)}"


def _by_hand(net, router):
    """A bundle that another tool has made is taken, and one of ours is good to that tool."""
    router.kill()
    router.forget()
    folder = os.path.join(net.dir, "by-hand")
    others = [other for other in net.routers() if other is not router]
    words = router.take(*bundle_by_java(net.lab, folder, others))
    if f"{len(others)} taken of {len(others)}" not in words:
        raise Failed(f"of a bundle that Java has made: {words.strip()}", router)
    ours = os.path.join(folder, "ours.su3")
    router.make(ours, net.hosts[0], *net.ramsons)
    if "VALID" not in (verdict := verified_by_java(net.lab, ours, net.hosts[0].certificate)):
        raise Failed(f"Java of a bundle that we have made: {verdict.strip()}", router)
    return "takes a bundle made by Java, and Java one of ours"
