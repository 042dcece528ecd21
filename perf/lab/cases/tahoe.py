"""A grid of five nodes of Tahoe-LAFS, three at Ramson and two at i2pd: what one stores another one fetches, each way, by SAM."""

import os
import time

from ..applications import Applications
from ..outcome import Failed
from ..tahoe import Node

NEEDS_RAMSON = True
SLOW = True
NETWORK = Applications
_SIZE = 500_000
_LIMIT = 420  # seconds until the nodes have met, and for one file


def run(net):
    folder = os.path.join(net.dir, "tahoe")
    os.makedirs(folder)
    begun, nodes = time.monotonic(), []
    try:
        nodes.append(Node(net.subject, os.path.join(folder, "introducer"), "introducer"))
        furl = nodes[0].furl()
        for n, router in enumerate((net.subject, net.partner, net.subject, net.partner, net.subject)):
            nodes.append(Node(router, os.path.join(folder, f"node-{n}"), port=4700 + n, introducer=furl))
        at_ramson, at_i2pd = nodes[1], nodes[2]
        facts = [f"made in {time.monotonic() - begun:.0f} s"]
        for way, source, drain in (("to i2pd", at_ramson, at_i2pd), ("from i2pd", at_i2pd, at_ramson)):
            data, before = os.urandom(_SIZE), time.monotonic()
            words = source.put(data, _LIMIT)
            stored = time.monotonic()
            if drain.get(words, _LIMIT) != data:
                raise Failed(f"{way}: other bytes came back", net.subject, net.partner)
            facts.append(f"{way}: stored in {stored - before:.0f} s, fetched in {time.monotonic() - stored:.0f} s")
    finally:
        for node in nodes:
            node.stop()
    return "; ".join(facts)
