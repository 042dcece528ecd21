"""Ramson introduces others: an i2pd behind a NAT takes its tags, and is called by i2pd and by Ramson through it."""

import time

from ..i2pd import I2pd
from ..introduction import IntroductionNetwork, count, until_firewalled
from ..outcome import Failed, eventually
from ..ramson import Ramson

NEEDS_RAMSON = True
SLOW = True  # i2pd looks at its introducers every half minute


class NETWORK(IntroductionNetwork):
    """i2pd hides, Ramson introduces."""

    name = "introducing"
    gate_ssu2 = False  # what its NAT rebinds is between it and Ramson alone

    def make_bobs(self):
        return [Ramson(self, n, transports=("ssu2",)) for n in (1, 2)]

    def make_hidden(self):
        return I2pd(self, 9)

    def introduce(self):
        hidden, bobs = self.hidden, self.bobs
        time.sleep(max(0, 10 - self.uptime()))
        hidden.start()
        until_firewalled(hidden, *bobs)
        # An i2pd asks for a tag at the beginning of a session alone, and some began before it knew that it needs any.
        for bob in bobs:
            bob.drain()
            bob.start()
        tags = lambda: [int(bob.metrics().total("ramson_ssu2_introduced")) for bob in bobs]
        if not eventually(120, lambda: all(tags())):
            raise Failed(f"it has taken {tags()} tags", hidden, *bobs)
        time.sleep(20)  # until it has looked at its introducers again


def run(net):
    net.begin()
    facts = net.call()
    agreed = [count(bob, "bob", "agreed") for bob in net.bobs]
    if sum(agreed) < 2:
        raise Failed(f"Ramson introduced nobody: {agreed}", net.hidden, *net.bobs)
    return facts
