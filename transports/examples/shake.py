#!/usr/bin/env python3
"""Runs the example `shake` against real i2pd routers in a private network and says what each side saw.

    cargo build -p ramson-transports --example shake
    PYTHONPATH=folder of net.py  python3 transports/examples/shake.py target/debug/examples/shake [--java]
"""
import os, sys, time
shake = os.path.abspath(sys.argv[1])
from net import *

def ours(net, n, *options): return net.add(External(net, n, [shake, "{dir}", "{ip}:{port}", "{netid}", *options]))

def lines(r): return open(f"{r.dir}/out.log").read().splitlines()

with Net(hops=1, loglevel="debug", keep="/tmp/shake-net") as net:
    for i in (1, 2, 3): net.add(I2pd(net, i, floodfill=i == 1, extra="\n[ssu2]\nenabled=false\n"))
    java = net.add(JavaRouter(net, 11, accept_now=True)) if "--java" in sys.argv else None
    good = ours(net, 4)
    cases = {"other network": ours(net, 5, "--lie-net-id", "2"), "clock 61 s ahead": ours(net, 6, "--clock-ms", "61000"),
             "clock 61 s behind": ours(net, 7, "--clock-ms", "-61000"), "clock 58 s ahead": ours(net, 8, "--clock-ms", "58000"),
             "other address": ours(net, 9, "--bind", f"{PREFIX}.99.0.1"), "other static key": ours(net, 10, "--info-static-key")}
    run(f"nsenter -t {cases['other address'].ns.pid} -n ip addr add {PREFIX}.99.0.1/8 dev eth0")
    net.boot()
    time.sleep(45)
    for name, r in {"good": good, **cases}.items():
        print(f"=== {name} {r.ip}"); print("\n".join(lines(r)[:60]))
    for r in net.routers[:3]: print(f"=== i2pd {r.ip} sessions", r.sessions())
    if java: print("=== Java"); print(java.page())
