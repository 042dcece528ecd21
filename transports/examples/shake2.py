#!/usr/bin/env python3
"""Runs the example `shake2` against real i2pd and Java I2P routers in a private network and says what each side saw.

    cargo build -p ramson-transports --example shake2
    PYTHONPATH=folder of net.py  python3 transports/examples/shake2.py target/debug/examples/shake2 [--java] [--seconds N]
"""
import os, sys, time
shake = os.path.abspath(sys.argv[1])
seconds = int(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 30
from net import *

ONLY_SSU2 = "\n[ntcp2]\nenabled=false\n[ssu2]\nenabled=true\n"
JAVA_LOG = "logger.record.net.i2p.router.transport.udp=INFO"

def ours(net, n, *options): return net.add(External(net, n, [shake, "{dir}", "{ip}:{port}", "{netid}", *options]))

def lines(r): return open(f"{r.dir}/out.log").read().splitlines()

with Net(hops=1, loglevel="debug", keep="/tmp/shake2-net") as net:
    for i in (1, 2): net.add(I2pd(net, i, floodfill=i == 1, extra=ONLY_SSU2))
    java = net.add(JavaRouter(net, 12, accept_now=True, log=JAVA_LOG)) if "--java" in sys.argv else None
    good = ours(net, 4)
    cases = {"large RouterInfo": ours(net, 3, "--big"), "stale token": ours(net, 11, "--stale-token"), "silent": ours(net, 13, "--silent"),
             "other network": ours(net, 5, "--lie-net-id", "2"), "clock 61 s ahead": ours(net, 6, "--clock-ms", "61600"),
             "clock 61 s behind": ours(net, 7, "--clock-ms", "-61600"), "clock 58 s ahead": ours(net, 8, "--clock-ms", "58000"),
             "other address": ours(net, 9, "--bind", f"{PREFIX}.99.0.1"), "other static key": ours(net, 10, "--info-static-key")}
    run(f"nsenter -t {cases['other address'].ns.pid} -n ip addr add {PREFIX}.99.0.1/8 dev eth0")
    net.boot()
    time.sleep(seconds)
    for name, r in {"good": good, **cases}.items():
        print(f"=== {name} {r.ip}"); print("\n".join(lines(r)[:60]))
    for r in net.routers[:2]: print(f"=== i2pd {r.ip} sessions", r.sessions())
    if java: print("=== Java"); print(java.page())
