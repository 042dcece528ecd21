"""Ramson's own tunnels through i2pd and Java come about, at least nine in ten and no fewer than i2pd's own."""

import time
from collections import Counter
from statistics import mean

from ..outcome import Failed, eventually
from ..relay import RelayNetwork as NETWORK

NEEDS_RAMSON = True
_SHARE, _QUICK_SHARE = 0.9, 0.8  # of twenty builds one or two fail by chance


def run(net):
    enough = 20 if net.lab.quick else 100
    router = net.caller
    net.let_caller_be_called()
    # In its first minute a network refuses for reasons of its own. Then tunnels last ten minutes, so builds come from
    # starting the router again and again, each time with a pool to fill.
    time.sleep(max(0, 60 - net.uptime()))
    builds = Counter()
    while sum(builds.values()) < enough:
        router.kill()
        router.start()
        builds += _fill(router)
        if not sum(builds.values()):
            raise Failed("it builds nothing", router)
    share = builds["ok"] / sum(builds.values())
    least, margin = (_QUICK_SHARE, 0.1) if net.lab.quick else (_SHARE, 0.01)
    theirs = mean(peer.build_share() for peer in net.i2pds())
    others = ", ".join(f"{count} {result}" for result, count in builds.items() if result != "ok")
    facts = f"{builds['ok']} of {sum(builds.values())} builds ({others or 'no other'}), {share:.0%}; i2pd {theirs:.0%}"
    if share < least or share + margin < theirs:
        raise Failed(facts, router, net.java)
    if not eventually(90, lambda: router.tunnel_tests()["ok"]):
        raise Failed(f"{facts}; but no test of its tunnels succeeds: {dict(router.tunnel_tests())}", router, net.java)
    return f"{facts}; tests " + ", ".join(f"{count} {result}" for result, count in router.tunnel_tests().items())


def _fill(router):
    """The results of the first builds, when the pool is full and nothing is under way."""
    wanted = 2 * router.exploratory
    eventually(40, lambda: router.builds()["ok"] >= wanted, 0.5)
    return router.builds()
