"""Behind a NAT Ramson is found to be so by tests through i2pd, is given tags by i2pd, and publishes its introducers."""

import itertools
import time

from ..i2pd import I2pd
from ..network import Network
from ..outcome import Failed, eventually
from ..ramson import Ramson

NEEDS_RAMSON = True
SLOW = True  # tests of reachability take minutes where everybody knows everybody


class NETWORK(Network):
    """Three i2pd that introduce, others that test, and a Ramson behind a NAT.

    1, 2, 8 bobs      i2pd, which introduce            9 hidden    Ramson behind a NAT, with SSU2; knows these and 3
    3 to 7, 10 to 12  i2pd, not known to it; 3 and 4
                      are floodfills, which i2pd lets
                      introduce nobody
    """

    name = "nat"

    def __init__(self, lab):
        super().__init__(lab)
        self.bobs = [self.add(I2pd(self, n)) for n in (1, 2, 8)]
        # They would have each other test it, to whom it is connected.
        for bob, other in itertools.permutations(self.bobs, 2):
            bob.forbid_calls(other, "udp")
        # Who was connected to it can reach it through its NAT and shows nothing, so each test takes another one, and these
        # build no tunnels of their own, for which they would have themselves introduced to it.
        self.charlies = [self.add(I2pd(self, n, floodfill=n < 5, exploratory=0)) for n in (3, 4, 5, 6, 7, 10, 11, 12)]
        hidden = Ramson(self, 9, transports=("ssu2",), exploratory=3)
        hidden.hide()
        self.hidden = self.add(hidden, known=False, told=[*self.bobs, self.charlies[0]], starts=False)


def run(net):
    hidden = net.hidden
    time.sleep(max(0, 20 - net.uptime()))
    hidden.start()
    verdict = lambda: [status for status, yes in hidden.metrics().by("ramson_reachability", "status").items() if yes]
    begin = time.monotonic()
    if not eventually(150, lambda: "firewalled" in verdict()):
        raise Failed(f"behind a NAT, but found to be {' and '.join(verdict())}", hidden, *net.bobs)
    found = time.monotonic() - begin
    if not eventually(60, lambda: _introducers(hidden)):
        raise Failed("nobody introduces it", hidden, *net.bobs)
    # What it publishes follows within seconds.
    tag = lambda: b"itag0" in open(hidden.info_path(), "rb").read()
    if not eventually(20, tag):
        raise Failed("its introducers are not in its RouterInfo", hidden)
    return f"found firewalled in {found:.0f} s, introduced by {_introducers(hidden)}, and says so in its RouterInfo"


def _introducers(router):
    return int(router.metrics().total("ramson_ssu2_introducers"))
