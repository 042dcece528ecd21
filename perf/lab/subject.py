"""Which router is under test: Ramson, or, to prove the laboratory itself, an i2pd in its place."""

from .i2pd import I2pd
from .ramson import Ramson


class StandIn(I2pd):
    """An i2pd that answers what the cases ask of a router under test. What its console cannot say is None."""

    kind = "stand-in"

    def __init__(self, net, n, floodfill=False, exploratory=3, transports=("ntcp2",)):
        speaks = {name: name in transports for name in ("ntcp2", "ssu2")}
        super().__init__(net, n, floodfill, exploratory=exploratory, **speaks)

    def sessions_by_direction(self):
        ways = [way for _, way, _ in self.sessions()]
        return {way: ways.count(way) for way in ("in", "out")}

    def cells(self, role):
        return None

    def filter_bytes(self):
        return 0

    def stored(self, kind):
        return {"router_info": self.known_routers, "lease_set": self.known_lease_sets}[kind]()


def subject(net, n, **options):
    """Router `n` of `net`, of the kind that is under test."""
    return (Ramson if net.lab.ramson else StandIn)(net, n, **options)
