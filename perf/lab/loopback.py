"""Routers to be measured: on loopback, pinned to one processor, with limits that no load reaches.

Without a bridge between, what is measured is the router and not `veth`. All have one thread's worth of processor, so that
their figures compare; a router with more threads has them on the same one.
"""

import subprocess
from dataclasses import dataclass

from .host import Host
from .i2pd import I2pd
from .java import JavaRouter
from .ramson import EXPORTER, Ramson
from .router import NETWORK_ID
from .sandbox import NETWORK, sh

PROCESSOR = 0  # of the router; the load takes the others
MEGABYTES = 2000  # per second, the limit of each


@dataclass(frozen=True)
class Lab:
    """What the routers' classes must know."""

    work: str
    peers: str
    ramson: str


@dataclass(frozen=True)
class Net:
    """Where a router has its folder."""

    lab: Lab
    dir: str


class Loopback(Host):
    """A host that is an address on loopback."""

    def __init__(self, n):
        self.n, self.ip, self.ip6, self.nat = n, f"{NETWORK}.{n}.0.1", "::1", None
        sh(f"ip addr add {self.ip}/32 dev lo")

    def spawn(self, argv, **options):
        return subprocess.Popen(["taskset", "-c", str(PROCESSOR), *argv], **options)

    def remove(self):
        sh(f"ip addr del {self.ip}/32 dev lo")


class FastRamson(Ramson):
    """Ramson with one I/O thread and without limits."""

    more = ""  # of the section of SSU2

    def __init__(self, net, n, transports=("ntcp2",)):
        super().__init__(net, n, transports=transports)

    def _configuration(self):
        return f"""
[network]
id = {NETWORK_ID}
allow_private_addresses = true
[router]
io_threads = 1
{self._transport("ntcp2")}{self._transport("ssu2")}{self.more}[bandwidth]
inbound = "{MEGABYTES}MB/s"
outbound = "{MEGABYTES}MB/s"
transit_share = 1.0
[transit]
max_tunnels = 60000
[metrics]
listen = "{self.ip}:{EXPORTER}"
[log]
level = "warn"
"""


class LocalRamson(FastRamson, Loopback):
    """The same on loopback."""


class PlainRamson(LocalRamson):
    """The same, which sends datagrams one by one."""

    more = "segmentation_offload = false\n"


class FastI2pd(I2pd):
    """i2pd with one transport, or both, and without limits."""

    def __init__(self, net, n, transports=("ntcp2",)):
        super().__init__(net, n, ntcp2="ntcp2" in transports, ssu2="ssu2" in transports, exploratory=1)

    def _configuration(self):
        # `bandwidth = X` is what it publishes; it has no limit of its own then.
        return f"share = 100\n{super()._configuration()}\n[limits]\ntransittunnels = 60000\nopenfiles = 16384\n"


class LocalI2pd(FastI2pd, Loopback):
    """The same on loopback."""


class LocalJava(JavaRouter, Loopback):
    """Java I2P, always with NTCP2."""

    def __init__(self, net, n, transports=("ntcp2",)):
        super().__init__(net, n, ssu2="ssu2" in transports, kbps=MEGABYTES * 1000)

    def _configuration(self):
        more = {"router.sharePercentage": 100, "router.maxParticipatingTunnels": 60000, "i2np.ntcp.maxConnections": 4000}
        return super()._configuration() | more
