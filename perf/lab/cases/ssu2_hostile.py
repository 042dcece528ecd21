"""Peers and strangers that break every rule of SSU2 change nothing, and nothing is sent where three times less came from."""

from ..relay import Ssu2RelayNetwork as NETWORK
from . import hostile

NEEDS_RAMSON = True


def run(net):
    return hostile.run(net, udp=True)
