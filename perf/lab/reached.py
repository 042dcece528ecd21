"""Networks in which a Ramson finds out where it can be called, and is called there.

    1, 2, 8 bobs      i2pd, 2 with SSU2 alone          9 subject   Ramson with both transports, behind what the case says;
    3 to 7, 10 to 19  i2pd that are known to it late,            it knows bobs, 3, and the Java
                      and so can show something in a   13 java     Java I2P
                      test; 3 and 4 are floodfills, 6, 10, 14
                      and 18 have SSU2 alone
"""

import itertools
import re

from .complaints import about
from .i2pd import I2pd
from .java import JavaRouter
from .network import Network
from .outcome import Failed, eventually
from .ramson import FoundRamson

_PATIENCE = 300  # seconds until it is published: tests take turns of some seconds, and two must agree
# Before it is published nobody has its RouterInfo, and who has it can reach it through introducers alone.
_EARLY = re.compile("has not been created in|No more floodfills for")


class ReachedNetwork(Network):
    """See above."""

    name = "reached"
    subject_kind = FoundRamson

    def __init__(self, lab):
        super().__init__(lab)
        self.bobs = [self.add(I2pd(self, n, ntcp2=n != 2)) for n in (1, 2, 8)]
        # They would have each other test it, to whom it is connected.
        for bob, other in itertools.permutations(self.bobs, 2):
            bob.forbid_calls(other, "udp")
        # Those who have both transports call by NTCP2.
        late = (3, 4, 5, 6, 7, *range(10, 13), *range(14, 20))
        self.charlies = [self.add(I2pd(self, n, ntcp2=n % 4 != 2, floodfill=n < 5, exploratory=0)) for n in late]
        self.java = self.add(JavaRouter(self, 13))
        subject = self.subject_kind(self, 9, transports=("ntcp2", "ssu2"), exploratory=1)
        self.place(subject)
        told = [*self.bobs, self.charlies[0], self.java]
        self.subject = self.add(subject, known=False, told=told, starts=False)

    def place(self, subject):
        """Puts the subject behind what stands before it."""

    def peers(self):
        """All but the subject."""
        return [*self.bobs, *self.charlies, self.java]

    def until_published(self, limit=_PATIENCE):
        """Waits until its RouterInfo names its address and peers have reached it."""
        subject = self.subject
        if not eventually(limit, lambda: subject.is_published() and "ok" in subject.reachability()):
            told = f"published: {subject.is_published()}, found {subject.reachability()}"
            raise Failed(f"not reachable where it should be; {told}", subject, *self.bobs)

    def until_called(self, limit=180):
        """Waits for sessions of both transports with i2pd, some that these began and some that the subject began, and with
        Java in either."""
        seen = set()

        def all_ways():
            for peer in self.peers():
                ways = {(transport, way) for transport, way, ip in peer.sessions() if ip == self.subject.ip}
                seen.update((peer.kind, *way) for way in ways)
            i2pd = {(transport, way) for kind, transport, way in seen if kind == "i2pd"}
            return len(i2pd) == 4 and any(kind == "java" for kind, _, _ in seen)

        if not eventually(limit, all_ways):
            raise Failed(f"peers have had only these sessions with it: {sorted(seen)}", self.subject, *self.bobs, self.java)
        return len(seen)

    def until_hop(self, limit=120):
        """Waits until others have built tunnels through it."""
        accepted = lambda: int(self.subject.metrics().total("ramson_build_requests_total", answer="accepted"))
        if not eventually(limit, accepted):
            raise Failed("nobody builds a tunnel through it", self.subject, *self.bobs)
        return accepted()

    def without_complaint(self):
        """Nobody has banned it or found fault with it."""
        complaints = [(peer, line) for peer, line in about([self.subject], self.peers()) if not _EARLY.search(line)]
        if complaints:
            some = "; ".join(f"{peer}: {line}" for peer, line in complaints[:3])
            peers = dict.fromkeys(peer for peer, _ in complaints)
            raise Failed(f"{len(complaints)} complaints, such as {some}", self.subject, *peers)


def be_reached(net):
    """Has it found, called, and built through."""
    # Java is one of twenty, and it is chance who calls it: here a tunnel begins there.
    net.subject.serve("by-java", net.web, length=1, explicit_peers=[net.java.hash()])
    net.subject.start()
    begin = net.uptime()
    net.until_published()
    found = net.uptime() - begin
    ways, hops = net.until_called(), net.until_hop()
    net.without_complaint()
    return f"published in {found:.0f} s, {ways} kinds of sessions, {hops} tunnels through it, no complaint"
