"""The NAT in front of an i2pd rebinds its ports in the middle of a download, and Ramson goes on with it."""

from ..outcome import Failed
from ..rebinding import moves, rebind
from .introducing import NETWORK

__all__ = ["NETWORK", "run"]

NEEDS_RAMSON = True
SLOW = True


def run(net):
    net.begin()
    before = moves(net.second)
    facts = rebind(net, net.BY_SECOND, net.second)
    moved = moves(net.second) - before
    if not moved:
        raise Failed("the i2pd has not moved for its neighbour", net.second, net.hidden)
    return f"{facts}, {moved} moves"
