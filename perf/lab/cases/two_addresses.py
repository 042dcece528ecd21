"""With two addresses on one interface, Ramson publishes one, and whoever calls the other is answered from there, over TCP and UDP."""

from ..outcome import Failed, Skipped
from ..reached import ReachedNetwork, be_reached
from . import hostile

NEEDS_RAMSON = True
SLOW = True
_MODES = ("honest-caller", "ssu2-blocks")  # answers from another address than was called are nothing to them
_FIRST_HOST = 100


class NETWORK(ReachedNetwork):
    """The subject with a second address."""

    name = "two-addresses"

    def place(self, subject):
        self.second = subject.ip.rsplit(".", 1)[0] + ".2"
        subject.run(f"ip addr add {self.second}/8 dev eth0")


def run(net):
    if not net.lab.hostile:
        raise Skipped("no ramson-hostile is built")
    facts = be_reached(net)
    for n, mode in enumerate(_MODES, _FIRST_HOST):
        complaint = hostile.offend(net.subject, net.lab.hostile, mode, n, net.second)
        if complaint:
            raise Failed(f"called at its second address, {mode}: {complaint}", net.subject)
    return f"{facts}; called at its second address, too"
