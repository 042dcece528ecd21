"""Programs that others wrote have streams from Ramson's SAM to i2pd's and back: Bitcoin Core's dialogue, i2plib, leaflet, txi2p, i2p-sam, yosemite, sam3."""

import time

from ..applications import Applications
from ..outcome import Failed, Skipped, eventually
from ..programs import ECHOES, both_ways
from ..sam import Socket

NEEDS_RAMSON = True
SLOW = True
NETWORK = Applications
_SIZE = 300_000
_LIMIT = 150  # seconds for one way


def run(net):
    for router in (net.subject, net.partner):
        eventually(60, lambda: not Socket(router.ip).close())
    facts, missing, failed = [], [], []
    for name in ECHOES:
        begun = time.monotonic()
        try:
            both_ways(net, name, _SIZE, _LIMIT)
            facts.append(f"{name} {time.monotonic() - begun:.0f} s")
        except Skipped:
            missing.append(name)
        except Failed as e:
            failed.append(str(e))
    if failed:
        raise Failed("; ".join(failed), net.subject, net.partner)
    return f"both ways: {', '.join(facts)}" + (f"; not here: {', '.join(missing)}" if missing else "")
