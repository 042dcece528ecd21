"""i2pd introduce Ramson to an i2pd behind a NAT."""

import time

from ..i2pd import I2pd
from ..introduction import IntroductionNetwork, until_firewalled
from ..outcome import Failed, eventually

NEEDS_RAMSON = True
SLOW = True


class NETWORK(IntroductionNetwork):
    """i2pd hides, i2pd introduce."""

    name = "introduced-to-i2pd"

    def make_bobs(self):
        return [I2pd(self, n) for n in (1, 2)]

    def make_hidden(self):
        return I2pd(self, 9)

    def introduce(self):
        hidden, bobs = self.hidden, self.bobs
        time.sleep(max(0, 10 - self.uptime()))
        hidden.start()
        until_firewalled(hidden, *bobs)
        for bob in bobs:  # see `introducing`
            bob.drain(limit=10)
            bob.start()
        if not eventually(120, hidden.has_introducers):
            raise Failed("nobody introduces it", hidden, *bobs)
        time.sleep(20)


def run(net):
    net.begin()
    return net.call()
