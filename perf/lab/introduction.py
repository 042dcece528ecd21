"""Networks in which routers are introduced to one behind a NAT.

    1, 2 bobs       the only ones that introduce anybody     6 caller   i2pd with SSU2 alone
    3, 4 strangers  i2pd, 4 unknown to the hidden at first   7 second   Ramson with SSU2 alone
    5 server        i2pd with NTCP2 alone                    8 gate     i2pd, the only hop of the server's tunnels
                                                             9 hidden   behind a NAT

The i2pd among the others are floodfills, which i2pd lets test and introduce nobody. Caller and second are known to
nobody at first, and the hidden can begin no session with them. The caller's tunnels go through the hidden as its only
hop, and through the second and then the hidden.
"""

import time

from .download import Broken, Proxy
from .i2pd import I2pd
from .network import Network
from .outcome import Failed, eventually
from .ramson import Ramson


class IntroductionNetwork(Network):
    """See above. A kind of it says who hides, and who introduces."""

    DIRECT, BY_SECOND = 4445, 4446  # ports of the caller's proxies

    gate_ssu2 = True

    def __init__(self, lab):
        super().__init__(lab)
        self.bobs = [self.add(bob) for bob in self.make_bobs()]
        self.strangers = [self.add(I2pd(self, n, floodfill=True)) for n in (3, 4)]
        # Two i2pd that call each other over SSU2 at once do not try again for minutes; over NTCP2 they come together.
        self.server = self.add(I2pd(self, 5, ssu2=False))
        self.gate = self.add(I2pd(self, 8, floodfill=True, ssu2=self.gate_ssu2))
        self.caller = self.add(I2pd(self, 6, ntcp2=False, exploratory=1), known=False, starts=False)
        self.second = self.add(Ramson(self, 7, transports=("ssu2",), exploratory=0), known=False, starts=False)
        hidden = self.make_hidden()
        hidden.hide()
        self.hidden = self.add(hidden, known=False, told=[*self.bobs, self.strangers[0]], starts=False)

    def make_bobs(self):
        """The routers 1, 2."""
        raise NotImplementedError

    def make_hidden(self):
        """The router 9."""
        raise NotImplementedError

    def configure(self):
        self.server.serve("page", self.web, inbound=[self.gate], outbound=[self.gate])
        self.caller.learn(self.second)
        self.caller.proxy("direct", self.DIRECT, inbound=[self.hidden], outbound=[self.hidden])
        path = [self.second, self.hidden]
        self.caller.proxy("by-second", self.BY_SECOND, inbound=path, outbound=path)

    def introduce(self):
        """Starts the hidden, and waits until bobs introduce it."""
        raise NotImplementedError

    def begin(self):
        """Starts the routers that call the hidden, once it is introduced."""
        if self.caller.alive():
            return
        self.introduce()
        for router in (self.caller, self.second):
            router.refuse_calls(self.hidden)
            router.learn(self.hidden)
        self.second.start()
        time.sleep(2)
        self.caller.start()

    def call(self):
        """Has the hidden called by i2pd and by Ramson, and a file downloaded through it each time; what it took."""
        by_i2pd = self._download(self.DIRECT)
        ways = [way for transport, way, ip in self.caller.sessions() if (transport, ip) == ("SSU2", self.hidden.ip)]
        if "out" not in ways:
            raise Failed(f"the i2pd did not call it: {ways}", self.caller, self.hidden, *self.bobs)
        by_ramson = self._download(self.BY_SECOND)
        introduced = count(self.second, "alice", "introduced")
        if not introduced:
            raise Failed("the Ramson was not introduced to it", self.second, self.hidden, *self.bobs)
        return f"called by i2pd in {by_i2pd:.0f} s, Ramson {by_ramson:.0f} s"

    @property
    def page(self):
        """The name of what the server serves."""
        return self.server.name_of("page")

    def _download(self, port):
        begin, file = time.monotonic(), self.web.file(1_000_000)
        try:
            Proxy(self.caller.ip, port).fetch_patiently(self.page, file, 240)
        except Broken as e:
            raise Failed(f"no download: {e}", self.hidden, self.caller, self.second, *self.bobs) from e
        return time.monotonic() - begin


class HiddenI2pd(IntroductionNetwork):
    """An i2pd hides. A kind of it says who introduces, and how to see that they do."""

    drain_limit = 30  # seconds for a bob to end

    def make_hidden(self):
        return I2pd(self, 9)

    def introduce(self):
        time.sleep(max(0, 10 - self.uptime()))
        self.hidden.start()
        until_firewalled(self.hidden, *self.bobs)
        # An i2pd asks for a tag at the beginning of a session alone, and some began before it knew that it needs any.
        for bob in self.bobs:
            bob.drain(limit=self.drain_limit)
            bob.start()
        self.wait_for_tags()
        time.sleep(20)  # until it has looked at its introducers again

    def wait_for_tags(self):
        """Waits until it has introducers."""
        raise NotImplementedError


def count(router, role, event):
    """How often a Ramson has seen this of introductions."""
    labels = {"service": "introduction", "role": role, "event": event}
    return int(router.metrics().total("ramson_ssu2_services_total", **labels))


def until_firewalled(hidden, *involved, limit=240):
    """Waits until an i2pd takes itself for firewalled; the seconds."""
    begin = time.monotonic()
    if not eventually(limit, lambda: hidden.network_status() == "Firewalled"):
        raise Failed(f"it is behind a NAT and takes itself for {hidden.network_status()}", hidden, *involved)
    return time.monotonic() - begin
