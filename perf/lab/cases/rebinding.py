"""The NAT in front of a Ramson rebinds its ports in the middle of a download, and i2pd goes on with it."""

from ..rebinding import rebind
from .introduced import NETWORK

__all__ = ["NETWORK", "run"]

NEEDS_RAMSON = True


def run(net):
    net.begin()
    return rebind(net, net.DIRECT, net.hidden)
