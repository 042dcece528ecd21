"""i2pd introduce Ramson to an i2pd behind a NAT."""

from ..i2pd import I2pd
from ..introduction import HiddenI2pd
from ..outcome import Failed, eventually

NEEDS_RAMSON = True
SLOW = True


class NETWORK(HiddenI2pd):
    """i2pd hides, i2pd introduce."""

    name = "introduced-to-i2pd"
    drain_limit = 10

    def make_bobs(self):
        return [I2pd(self, n) for n in (1, 2)]

    def wait_for_tags(self):
        if not eventually(120, self.hidden.has_introducers):
            raise Failed("nobody introduces it", self.hidden, *self.bobs)


def run(net):
    net.begin()
    return net.call()
