"""Ramson's own tunnels through i2pd and Java come about, at least nine in ten and no fewer than i2pd's own."""

import time
from collections import Counter
from statistics import mean

from ..outcome import Failed, eventually
from ..relay import RelayNetwork as NETWORK
from ..subject import subject

NEEDS_RAMSON = True
_SHARE, _QUICK_SHARE = 0.9, 0.8  # of two dozen builds one or two fail by chance
_FIRST_HOST = 60


def run(net):
    net.free_calls()
    # In its first minute a network refuses for reasons of its own.
    time.sleep(max(0, 60 - net.uptime()))
    # Tunnels last ten minutes: many builds in a short time take many routers. Each is new and has a pool to fill.
    settlers = [subject(net, _FIRST_HOST + n) for n in range(4 if net.lab.quick else 17)]
    try:
        for router in settlers:
            for other in net.routers():
                router.learn(other)
            router.start()
            time.sleep(1)
        return _judge(net, settlers)
    finally:
        for router in settlers:
            router.kill()
            router.remove()


def _judge(net, settlers):
    full = lambda: all(router.builds()["ok"] >= 2 * router.exploratory for router in settlers)
    eventually(60, full)
    builds = sum((router.builds() for router in settlers), Counter())
    total = builds.total()
    share, theirs = builds["ok"] / max(1, total), mean(peer.build_share() for peer in net.i2pds())
    facts = f"{_words(builds)} builds, {share:.0%}; i2pd {theirs:.0%}"
    least, margin = (_QUICK_SHARE, 0.1) if net.lab.quick else (_SHARE, 0.01)
    if not full() or share < least or share + margin < theirs:
        raise Failed(facts, settlers[0], net.java)
    tests = lambda: sum((router.tunnel_tests() for router in settlers), Counter())
    eventually(60, lambda: tests().total() >= len(settlers))
    if tests()["ok"] < 4 * max(1, tests()["failed"]):
        raise Failed(f"{facts}; but tests of these tunnels: {_words(tests())}", settlers[0], net.java)
    return f"{facts}; tests of them {_words(tests())}"


def _words(counts):
    return ", ".join(f"{count} {result}" for result, count in counts.items()) or "none"
