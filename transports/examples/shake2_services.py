#!/usr/bin/env python3
"""Peer tests and introductions of the example `shake2` among real i2pd (and Java I2P) routers in a private network.

    PYTHONPATH=folder of net.py  python3 transports/examples/shake2_services.py target/debug/examples/shake2 [--java]

Router 5 tests its reachability; 6 gets a tag from the i2pd at 10.2.0.1, and 7 has itself introduced by that to 6.
"""
import os, sys, time
shake = os.path.abspath(sys.argv[1])
from net import *

ONLY_SSU2 = "\n[ntcp2]\nenabled=false\n[ssu2]\nenabled=true\n"
WORDS = ("peer test", "tally", "elay", "ntroduc", "outside", "status", "establ", "failed")

def ours(net, n, *options): return net.add(External(net, n, [shake, "{dir}", "{ip}:{port}", "{netid}", *options]))

with Net(hops=1, loglevel="debug", keep="/tmp/shake2-services") as net:
    for i in (1, 2, 3, 4): net.add(I2pd(net, i, floodfill=i == 1, extra=ONLY_SSU2))
    if "--java" in sys.argv: net.add(JavaRouter(net, 12, accept_now=True))
    mine = [ours(net, 5, "--call", "10.1.0.1,10.2.0.1,10.3.0.1", "--test"), ours(net, 6, "--call", "10.2.0.1"),
            ours(net, 7, "--call", "10.2.0.1", "--introduce", f"{net.dir}/r6")]
    net.boot()
    time.sleep(60)
    for r in mine:
        print("===", r.ip); print("\n".join(l for l in open(f"{r.dir}/out.log").read().splitlines() if any(w in l for w in WORDS)))
    for r in net.routers[:4]: print("=== i2pd", r.ip, re.findall(r"Network status:</b>\s*([^<]*)", r.page())[:1])
