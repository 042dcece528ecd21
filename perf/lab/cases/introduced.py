"""A Ramson behind a NAT is called by i2pd and by Ramson, whom i2pd introduce to it."""

from ..i2pd import I2pd
from ..introduction import IntroductionNetwork, count
from ..outcome import Failed, eventually
from ..ramson import Ramson

NEEDS_RAMSON = True


class NETWORK(IntroductionNetwork):
    """Ramson hides, i2pd introduce."""

    name = "introduced"

    def make_bobs(self):
        return [I2pd(self, n) for n in (1, 2)]

    def make_hidden(self):
        return Ramson(self, 9, transports=("ssu2",), exploratory=3)

    def introduce(self):
        self.hidden.start()
        if not eventually(60, self.hidden.has_introducers):
            raise Failed("nobody introduces it", self.hidden, *self.bobs)


def run(net):
    net.begin()
    facts = net.call()
    accepted = count(net.hidden, "charlie", "accept")
    if accepted < 2:
        raise Failed(f"it was introduced {accepted} times", net.hidden, *net.bobs)
    return facts
