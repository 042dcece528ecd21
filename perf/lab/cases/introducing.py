"""Ramson introduces others: an i2pd behind a NAT takes its tags, and is called by i2pd and by Ramson through it."""

from ..introduction import HiddenI2pd, count
from ..outcome import Failed, eventually
from ..ramson import Ramson

NEEDS_RAMSON = True
SLOW = True  # i2pd looks at its introducers every half minute


class NETWORK(HiddenI2pd):
    """i2pd hides, Ramson introduces."""

    name = "introducing"
    gate_ssu2 = False  # what its NAT rebinds is between it and Ramson alone

    def make_bobs(self):
        return [Ramson(self, n, transports=("ssu2",)) for n in (1, 2)]

    def wait_for_tags(self):
        tags = lambda: [int(bob.metrics().total("ramson_ssu2_introduced")) for bob in self.bobs]
        if not eventually(120, lambda: all(tags())):
            raise Failed(f"it has taken {tags()} tags", self.hidden, *self.bobs)


def run(net):
    net.begin()
    facts = net.call()
    agreed = [count(bob, "bob", "agreed") for bob in net.bobs]
    if sum(agreed) < 2:
        raise Failed(f"Ramson introduced nobody: {agreed}", net.hidden, *net.bobs)
    return facts
