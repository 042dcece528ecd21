"""Destinations side by side: Ramson and i2pd as client and as server, each with each, over the same relays in one run.

    1..6   relays   Ramson, the hops of all tunnels      10, 11   ramson   its ends
                                                         12, 13   i2pd     its ends

Each end has a server, and client tunnels to all servers; all tunnels have three hops. The ends carry nothing for others.
"""

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass, replace

from . import flows, sandbox
from .leaves import EndI2pd, EndRamson, WideRamson
from .link import Link
from .network import Network
from .options import parse
from .router import peers_folder
from .suite import Lab

_FAR = "delay=300ms"  # each way, in front of each client
REGIMES = {
    "near": ("no delay", ""),
    "far": ("600 ms round trip", _FAR),
    "far-0.5": ("600 ms, 0.5 % loss", f"{_FAR},loss=0.5%"),
    "far-2": ("600 ms, 2 % loss", f"{_FAR},loss=2%"),
}
STREAMS = (1, 20, 200)
PAIRS = (("ramson", "ramson"), ("ramson", "i2pd"), ("i2pd", "ramson"), ("i2pd", "i2pd"))
_HOPS, _QUANTITY = 3, 3
_PAUSE = 5  # seconds until what was on its way has come and is forgotten
_IDLE, _HELD = 100, 200  # destinations and streams whose memory is measured


class EndsNetwork(Network):
    """See the module; `shape` is what a link in front of each client does to its packets, each way. The routers speak
    SSU2 then: what is measured is ours and not the TCP of the kernel under one hop."""

    def __init__(self, lab, name, shape="", idle=0):
        self.name = name
        super().__init__(lab)
        speaks = ("ssu2",) if shape else ("ntcp2",)
        self.relays = [self.add(WideRamson(self, n, floodfill=n <= 3, transports=speaks)) for n in range(1, 7)]
        ramson = lambda n: self.add(EndRamson(self, n, transports=speaks))
        i2pd = lambda n: self.add(EndI2pd(self, n, ntcp2=not shape, ssu2=bool(shape)))
        self.clients = {"ramson": ramson(10), "i2pd": i2pd(12)}
        self.servers = {"ramson": ramson(11), "i2pd": i2pd(13)}
        self.source = flows.Source(8098)
        for server in self.servers.values():
            server.serve("source", self.source, _HOPS, _QUANTITY)
            for n in range(idle):
                server.serve(f"idle-{n}", self.source, _HOPS - 1, 2)
        self._links = [Link(lab.link, router, forth=shape) for router in self.clients.values()] if shape else []

    @staticmethod
    def port(server, cold):
        """Of the client tunnel to a kind of server; another one for what must not have met it before."""
        return 4600 + 10 * list(dict(PAIRS)).index(server) + cold

    def configure(self):
        for client in self.clients.values():
            for kind, server in self.servers.items():
                for cold in (False, True):
                    name = server.name_of("source")
                    client.reach(f"to-{kind}{'-cold' * cold}", self.port(kind, cold), name, _HOPS, _QUANTITY)

    def stop(self):
        for link in self._links:
            link.remove()
        super().stop()
        self.source.close()


@dataclass(frozen=True)
class Line:
    """One measurement."""

    rate: float  # MB/s in sum
    client: float | None  # CPU-s/GB
    server: float | None
    jain: float
    broken: int


def main():
    options = _options()
    work = sandbox.enter_in(options.keep, "ramson-ends-")
    link = os.path.join(os.path.dirname(options.ramson), "ramson-link")
    lab = Lab(work=work, peers=peers_folder(), ramson=options.ramson, hostile=None, link=link, quick=False, seconds=None)
    print(f"{os.cpu_count()} processors for all routers of a run together; Ramson relays, {_HOPS} hops each way.")
    print(f"{options.seconds} s for each figure, medians of {options.runs}, {time.strftime('%F')}.\n")
    print("| path | streams | client | server | MB/s | Jain | client CPU-s/GB | server CPU-s/GB | first byte cold / warm s |")
    print("|---|--:|---|---|--:|--:|--:|--:|--:|")
    for regime in options.regimes:
        _regime(lab, regime, options)
    if not options.no_memory:
        _memory(lab)
    return 0


def _options():
    parser = argparse.ArgumentParser(prog="compare client", description=__doc__.split("\n", 1)[0])
    parser.add_argument("regimes", nargs="*", metavar="REGIME", help=f"of {', '.join(REGIMES)}; all without any")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--streams", default=",".join(map(str, STREAMS)), help="how many at once")
    parser.add_argument("--pairs", default=",".join(map(":".join, PAIRS)), help="which client with which server")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory of what is idle out")
    parser.add_argument("--runs", type=int, default=1)
    options = parse(parser)
    options.regimes = options.regimes or list(REGIMES)
    options.pairs = [tuple(pair.split(":")) for pair in options.pairs.split(",")]
    options.streams = [int(n) for n in options.streams.split(",")]
    if unknown := [name for name in options.regimes if name not in REGIMES]:
        sys.exit(f"no {', '.join(unknown)}; there are {', '.join(REGIMES)}")
    if set(options.pairs) - set(PAIRS):
        sys.exit(f"pairs are {', '.join(map(':'.join, PAIRS))}")
    return options


def _regime(lab, regime, options):
    said, shape = REGIMES[regime]
    net = EndsNetwork(lab, f"ends-{regime}", shape)
    try:
        net.boot()
        for client, server in options.pairs:
            place = net.clients[client].ip, net.port(server, False)
            if flows.first_byte_patiently(place, 180) is None:
                print(f"| {said} | | {client} | {server} | no byte came | | | | |", flush=True)
                continue
            cold_place = net.clients[client].ip, net.port(server, True)
            cold = flows.first_byte_patiently(cold_place, 60)
            warm = flows.first_byte_patiently(cold_place, 60)
            for count in options.streams:
                lines = [_measure(net, client, server, place, count, options.seconds) for _ in range(options.runs)]
                _print(said, client, server, count, lines, cold, warm)
    finally:
        net.stop()


def _measure(net, client, server, place, count, seconds):
    ends = net.clients[client], net.servers[server]
    before = [end.usage().cpu for end in ends]
    all_of_them = flows.run(place, count, seconds)
    spent = [end.usage().cpu - cpu for end, cpu in zip(ends, before, strict=True)]
    size = sum(flow.received for flow in all_of_them)
    costs = [cpu / size * 1e9 if size else None for cpu in spent]
    time.sleep(_PAUSE)
    broken = sum(1 for flow in all_of_them if flow.trouble)
    return Line(size / seconds / 1e6, *costs, flows.jain(all_of_them), broken)


def _print(said, client, server, count, lines, cold, warm):
    middle = lambda name: statistics.median([value for line in lines if (value := getattr(line, name)) is not None] or [0])
    broken = sum(line.broken for line in lines)
    show = lambda value: "-" if value is None else f"{value:.2f}"
    first = f"{show(cold)} / {show(warm)}" if count == STREAMS[0] else ""
    streams = f"{count}" + (f" ({broken} broken)" if broken else "")
    cells = [said, streams, client, server, f"{middle('rate'):.2f}", f"{middle('jain'):.3f}"]
    cells += [f"{middle('client'):.0f}", f"{middle('server'):.0f}", first]
    print("| " + " | ".join(cells) + " |", flush=True)


def _memory(lab):
    """Of idle destinations and idle streams: what a router has more with them than without."""
    sizes = {}
    for idle in (0, _IDLE):
        net = EndsNetwork(replace(lab), f"ends-memory-{idle}", idle=idle)
        try:
            net.boot()
            for kind in net.servers:
                place = net.clients[kind].ip, net.port(kind, False)
                flows.first_byte_patiently(place, 180)
            time.sleep(60)
            for kind, server in net.servers.items():
                sizes[kind, idle] = server.usage().rss
            if idle:
                continue
            for kind, client in net.clients.items():
                place, before = (client.ip, net.port(kind, False)), client.usage().rss
                held = flows.hold(place, _HELD)
                time.sleep(5)
                sizes[kind, "stream"] = (client.usage().rss - before) / len(held)
                for connection in held:
                    connection.close()
        finally:
            net.stop()
    print(f"\n| memory | KiB per idle destination, of {_IDLE} | KiB per idle stream, of {_HELD} |")
    print("|---|--:|--:|")
    for kind in ("ramson", "i2pd"):
        destination = (sizes[kind, _IDLE] - sizes[kind, 0]) / _IDLE / 1024
        print(f"| {kind} | {destination:.0f} | {sizes[kind, 'stream'] / 1024:.0f} |", flush=True)
