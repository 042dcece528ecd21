"""A hop of the tunnels is killed in the middle of a download, each way between Ramson and i2pd: no byte is lost."""

import threading
import time

from ..download import Broken
from ..outcome import Failed, eventually
from .streams_i2pd import NETWORK, ways

NEEDS_RAMSON = True
_SIZE, _QUICK_SIZE = 60_000_000, 30_000_000
_EARLY = 2_000_000  # bytes that must have come before


def run(net):
    return "; ".join(_way(net, name, *way) for name, way in ways(net).items())


def _way(net, name, way, host):
    file = net.web.file(_QUICK_SIZE if net.lab.quick else _SIZE)
    came, result = [0], []
    way.tell(lambda count: came.__setitem__(0, came[0] + count))

    def fetch():
        try:
            result.append(way.fetch(host, file, limit=400, stall=120))
        except Broken as e:
            result.append(e)

    way.fetch_patiently(host, net.web.file(1_000), 180)
    thread = threading.Thread(target=fetch)
    thread.start()
    eventually(120, lambda: came[0] > _EARLY or result, 0.05)
    # Not a floodfill: those are needed to find the way again. In a network so small every other tunnel has it.
    hop = net.hops[-1]
    at, killed = came[0], time.monotonic()
    hop.kill()
    thread.join()
    hop.start()
    if isinstance(result[0], Broken):
        raise Failed(f"{name}, a hop killed at {at} bytes: {result[0]}", net.subject, net.partner)
    return f"{name}: hop killed at {at / 1e6:.0f} MB, all {file.size / 1e6:.0f} MB came {time.monotonic() - killed:.0f} s later"
