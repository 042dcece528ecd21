"""Java I2P gives a Ramson behind a NAT a tag, and introduces others to it, who call it."""

import time

from ..introduction import count
from ..java import JavaRouter
from ..outcome import Failed, eventually
from . import introduced

NEEDS_RAMSON = True
SLOW = True  # Java takes half a minute to know that it can introduce


class NETWORK(introduced.NETWORK):
    """Ramson hides, Java introduces."""

    name = "introduced-java"

    def make_bobs(self):
        return [JavaRouter(self, 1)]


def run(net):
    net.begin()
    begin, hidden = time.monotonic(), net.hidden
    called = lambda: count(hidden, "charlie", "accept") and hidden.sessions_by_direction()["in"]
    if not eventually(120, called):
        accepted = count(hidden, "charlie", "accept")
        raise Failed(f"introduced {accepted} times, and nobody called", hidden, net.caller, *net.bobs)
    return f"introduced and called in {time.monotonic() - begin:.0f} s"
