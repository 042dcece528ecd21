"""A private network: routers that know each other from the start, as after a reseed."""

import os
import time
from dataclasses import dataclass

from .java import JavaRouter
from .outcome import Failed, eventually
from .router import Router
from .web import Web


@dataclass(frozen=True)
class _Place:
    """How a router comes into the network."""

    router: Router
    known: bool  # the others are told of it
    told: object  # it is told of the others: of all, of none, or of these
    starts: bool  # at boot, not later by a case


class Network:
    """A network with a name. A topology adds its routers in `__init__` and its tunnels in `configure`."""

    name = "network"

    def __init__(self, lab):
        self.lab = lab
        self.dir = os.path.join(lab.work, self.name)
        self._places = []
        self.web = Web()
        self.booted = None

    def add(self, router, known=True, told=True, starts=True):
        """Makes it part of the network; see `_Place`."""
        self._places.append(_Place(router, known, told, starts))
        return router

    def routers(self):
        """All of them, started or not."""
        return [place.router for place in self._places]

    def subjects(self):
        """The routers under test."""
        return [r for r in self.routers() if r.kind in ("ramson", "stand-in")]

    def configure(self):
        """Called while all are down and their hashes are known: the time for tunnels with explicit hops."""

    def boot(self, limit=90):
        """Starts each router once to make its keys and RouterInfo, tells each of all others, starts all again."""
        self.web.start()
        everyone = self.routers()
        for router in everyone:
            router.start()
        missing = lambda: [r for r in everyone if not r.published()]
        eventually(limit, lambda: not missing() or not all(r.alive() for r in everyone), 0.3)
        dead = [r for r in everyone if not r.alive()]
        if dead or missing():
            raise Failed(f"no RouterInfo from {', '.join(map(str, dead or missing()))}", *(dead or missing()))
        time.sleep(1)
        for router in everyone:
            router.kill()
        self._introduce()
        self.configure()
        self.booted = time.monotonic()
        for place in self._places:
            if place.starts:
                place.router.start()
        for router in everyone:
            if isinstance(router, JavaRouter) and router.alive():
                eventually(60, router.accept_transit, 0.3)

    def _introduce(self):
        for learner in self._places:
            for other in self._places:
                told = learner.told if isinstance(learner.told, bool) else other.router in learner.told
                if learner is not other and told and other.known:
                    learner.router.learn(other.router)

    def revive(self):
        """Starts every peer that has ended by itself again, and returns those: i2pd aborts at times, and what comes next is
        not to suffer for it. Not the routers under test, whose end is a fault."""
        fallen = [router for router in self.routers() if router.died() and router not in self.subjects()]
        for router in fallen:
            router.start()
        return fallen

    def uptime(self):
        """Seconds since all were started."""
        return time.monotonic() - self.booted

    def stop(self):
        """Ends all."""
        for router in self.routers():
            router.kill()
            router.remove()
        self.web.close()
