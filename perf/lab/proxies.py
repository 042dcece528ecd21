"""HTTP proxies side by side: Ramson's and i2pd's, each before the same servers, over the same relays, in one run.

    1..6   relays   Ramson, the hops of all tunnels      10, 11   ramson   its proxy, and a server
                                                         12, 13   i2pd     its proxy, and a server

curl asks, nginx answers; all tunnels have three hops. Ramson's proxy builds its tunnels when the first request comes, i2pd's at the start: the
first byte when cold is that of a proxy that nobody has used, in a router that is at home in the network. Before that each proxy's router is
started, and asked at once: how long it takes from there to a page.
"""

import argparse
import os
import subprocess
import sys
import time

from . import sandbox
from .leaves import EndI2pd, EndRamson, WideRamson
from .network import Network
from .options import parse
from .router import peers_folder
from .servers import Nginx
from .suite import Lab

_HOPS, _QUANTITY, _PORT = 3, 3, 4444
_PATIENCE = 180  # seconds until the first page
_SETTLE = 30  # seconds until all routers are at home, and i2pd's proxy has its tunnels
_SMALL = 1_000  # bytes of the page that is asked for again and again
_MANY = 200  # downloads at once, and bytes of each
_MANY_SIZE = 50_000
KINDS = ("ramson", "i2pd")


class ProxyRamson(EndRamson):
    """One whose proxy has tunnels as long and as many as i2pd's."""

    def _proxy(self, port):
        return super()._proxy(port).replace("length = 2\nquantity = 2", f"length = {_HOPS}\nquantity = {_QUANTITY}")


class ProxiesNetwork(Network):
    """See the module."""

    name = "proxies"

    def __init__(self, lab):
        super().__init__(lab)
        for n in range(1, 7):
            self.add(WideRamson(self, n, floodfill=n <= 3))
        self.clients = {"ramson": self.add(ProxyRamson(self, 10)), "i2pd": self.add(EndI2pd(self, 12))}
        self.servers = {"ramson": self.add(EndRamson(self, 11)), "i2pd": self.add(EndI2pd(self, 13))}
        self.nginx = Nginx(os.path.join(self.dir, "nginx"), 8081)
        self.nginx.put("small", _SMALL)
        self.nginx.put("many", _MANY_SIZE)
        self.clients["ramson"].proxy_port = _PORT
        self.servers["ramson"].serve("site", self.nginx, _HOPS, _QUANTITY)
        self.servers["i2pd"].serve("site", self.nginx, _HOPS, _QUANTITY)

    def configure(self):
        self.clients["i2pd"].proxy("proxy", _PORT, _HOPS, _HOPS, _QUANTITY)

    def stop(self):
        super().stop()
        self.nginx.stop()


def main():
    options = _options()
    work = sandbox.enter_in(options.keep, "ramson-proxies-")
    lab = Lab(work=work, peers=peers_folder(), ramson=options.ramson, hostile=None, link=None, quick=False, seconds=None)
    print(f"{os.cpu_count()} processors for all routers together; Ramson relays, {_HOPS} hops each way; {time.strftime('%F')}.\n")
    print(f"| proxy | server | first byte from the start / cold / warm s | requests/s, {options.parallel} at once | {_MANY} × 50 kB at once, s | CPU-s per 1000 requests | memory MB |")
    print("|---|---|--:|--:|--:|--:|--:|")
    net = ProxiesNetwork(lab)
    if not net.nginx.path:
        sys.exit(f"no nginx: apt-get install --no-install-recommends {net.nginx.package}")
    try:
        net.boot()
        time.sleep(_SETTLE)
        for server in KINDS:
            for client in KINDS:
                _line(net, client, server, options)
    finally:
        net.stop()
    return 0


def _options():
    parser = argparse.ArgumentParser(prog="compare proxy", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=2000, help="of the small page")
    parser.add_argument("--parallel", type=int, default=16)
    return parse(parser)


def _line(net, client, server, options):
    router, site = net.clients[client], f"http://{net.servers[server].name_of('site')}"
    ask = lambda *more: _curl("--proxy", f"http://{router.ip}:{_PORT}", *more)
    _restart(router)
    started = _first_byte(ask, site, _PATIENCE, pause=0.2)
    _restart(router)
    time.sleep(_SETTLE)
    cold = _first_byte(ask, site, _PATIENCE)
    warm = _first_byte(ask, site, 60)
    before = router.usage().cpu
    rate, whole = _batch(ask, f"{site}/small", options.requests, options.parallel)
    cpu = (router.usage().cpu - before) / options.requests * 1000
    many, all_of_them = _batch(ask, f"{site}/many", _MANY, _MANY)
    broken = options.requests - whole + _MANY - all_of_them
    cells = [client, server, f"{_show(started)} / {_show(cold)} / {_show(warm)}", f"{rate:.0f}", f"{_MANY / many:.1f}", f"{cpu:.2f}"]
    cells += [f"{router.usage().rss / 1e6:.0f}" + (f" ({broken} broken)" if broken else "")]
    print("| " + " | ".join(cells) + " |", flush=True)


def _show(seconds):
    return "-" if seconds is None else f"{seconds:.2f}"


def _curl(*options):
    command = ["curl", "-sS", "--max-time", "120", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _first_byte(ask, site, limit, pause=1):
    """Seconds from the first request to the first byte of a page, whatever was refused before."""
    begin = time.monotonic()
    while time.monotonic() < begin + limit:
        asked = time.monotonic()
        done = ask("--fail", "--output", "/dev/null", "--write-out", "%{time_starttransfer}", f"{site}/small")
        if done.returncode == 0:
            return asked - begin + float(done.stdout)
        time.sleep(pause)
    return None


def _restart(router):
    router.kill()
    router.start()


def _batch(ask, url, count, parallel):
    """Requests a second, and how many were answered."""
    begin = time.monotonic()
    options = ["--fail", "--parallel", "--parallel-immediate", "--parallel-max", str(parallel)]
    done = ask(*options, "--output", "/dev/null", "--write-out", "%{http_code}\n", f"{url}?[1-{count}]")
    return count / (time.monotonic() - begin), done.stdout.split().count("200")
