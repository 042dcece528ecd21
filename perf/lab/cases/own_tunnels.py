"""Ramson's own tunnels through i2pd and Java come about, at least nine in ten and no fewer than i2pd's own."""

import time
from statistics import mean

from ..outcome import Failed, eventually
from ..relay import RelayNetwork as NETWORK

NEEDS_RAMSON = True
_SHARE = 0.9


def run(net):
    enough, limit = (20, 150) if net.lab.quick else (100, 600)
    router = net.newcomer
    net.welcome_newcomer()
    net.let_newcomer_be_called()
    # In its first minute a network refuses for reasons of its own. A fresh start then gives all builds that count at once.
    time.sleep(max(0, 60 - net.uptime()))
    router.kill()
    router.start()
    eventually(limit, lambda: sum(router.builds().values()) >= enough)
    builds = router.builds()
    total = sum(builds.values())
    facts = f"{builds['ok']} of {total} builds, " + ", ".join(f"{n} {why}" for why, n in builds.items() if why != "ok")
    if total < enough:
        raise Failed(f"only {facts.rstrip(', ')} in {limit} s", router, net.java)
    # One build more or less is no difference between shares of so few.
    theirs = mean(peer.build_share() for peer in net.i2pds())
    share = builds["ok"] / total
    if share < _SHARE or share + 1 / total < theirs:
        raise Failed(f"{facts.rstrip(', ')}: {share:.0%}, i2pd {theirs:.0%}", router, net.java)
    eventually(60, lambda: sum(router.tunnel_tests().values()) >= enough // 2)
    tests = router.tunnel_tests()
    if tests["ok"] < 4 * max(1, tests["failed"]):
        raise Failed(f"the tunnels stand, but their tests fail: {dict(tests)}", router, net.java)
    return f"{facts.rstrip(', ')} ({share:.0%}; i2pd {theirs:.0%}); tests {tests['ok']} ok, {tests['failed']} failed"
