"""A link to order in front of a host, or between two: slow, far, lossy, as `ramson-link` can make it.

The kernel gives a process the packets of a TUN device whole, cut to the size of the device; so `ramson-link` between two of
them does what netem would, in any namespace and the same way each time.
"""

import contextlib
import fcntl
import os
import re
import signal
import struct
import subprocess

from .outcome import Skipped
from .sandbox import GATE, mac, sh

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE = "/dev/net/tun"
_TABLE = 1000  # of routes, and the host's number
_QUEUE = 5000  # packets that a device holds until `ramson-link` reads them: more than any burst


class Link:
    """A link between host `a` and host `b`, or without `b`, for IPv4 alone, between host `a` and all others.

    `forth` is what happens to packets from `a`, `back` to those to it, or the same without `back`; see `ramson-link --help`. What
    programs of the laboratory itself have to say to `a` by TCP, and it to them, goes beside it: it is to be no part of the way.
    The hosts keep their addresses. Make it before they talk: on the bridge they remember for a while where the other was.
    """

    def __init__(self, tool, a, b=None, forth="", back=None, seed=1, mtu=1500):
        if not tool or not os.access(tool, os.X_OK):
            raise Skipped("no ramson-link is built")
        if not os.access(_CLONE, os.R_OK | os.W_OK):
            raise Skipped(f"no {_CLONE}")
        self._a, self._b, self._table = a, b, _TABLE + a.n
        names = f"link{a.n}-{b.n if b else 0}", f"link{b.n if b else 0}-{a.n}"
        ends = [_tun(name) for name in names]
        try:
            if b:
                _lead(a, names[0], b, mtu)
                _lead(b, names[1], a, mtu)
            else:
                self._replace(*names, mtu)
            command = [tool, "--forth", forth, "--back", forth if back is None else back, "--seed", str(seed)]
            options = {"stdin": ends[0], "stdout": ends[1], "stderr": subprocess.PIPE, "text": True}
            self._process = subprocess.Popen(command, **options)
        finally:
            for end in ends:
                os.close(end)
        with contextlib.suppress(subprocess.TimeoutExpired):  # what it refuses it refuses at once
            self._process.wait(timeout=0.2)
            raise RuntimeError(f"ramson-link: {self._process.stderr.read().strip()}")

    def _replace(self, inner, outer, mtu):
        """Has the host reached by the link alone. Its device is called as the one before, which rules may name."""
        a = self._a
        sh(f"ip link set {inner} netns {a.namespace}")
        for command in (
            *("ip link set eth0 down", "ip link set eth0 name bridge0", f"ip link set {inner} name eth0"),
            *(f"ip link set eth0 {_shape(mtu)}", "ip link set eth0 up"),
            f"ip addr add {a.ip}/8 dev eth0",
        ):
            a.run(command)
        self._go_beside()
        sh(f"ip link set {outer} {_shape(mtu)}")
        sh(f"ip link set {outer} up")
        sh(f"ip route add {a.ip}/32 dev {outer}")
        # All others ask on the bridge where it is.
        for setting in ("net.ipv4.ip_forward=1", "net.ipv4.conf.br0.proxy_arp=1", "net.ipv4.neigh.br0.proxy_delay=0"):
            sh(f"sysctl -qw {setting}")

    def _go_beside(self):
        """Leads TCP between the laboratory and the host over the bridge as before; others there do not learn of it."""
        a = self._a
        for command in (
            "ip addr flush dev bridge0",
            "sysctl -qw net.ipv4.conf.bridge0.arp_ignore=8",
            "ip link set bridge0 up",
            f"ip neigh replace {GATE} lladdr {mac('br0')} dev bridge0 nud permanent",
            f"ip route add {GATE}/32 dev bridge0 src {a.ip} table {self._table}",
            f"ip rule add {self._beside(GATE)}",
        ):
            a.run(command)
        sh(f"ip neigh replace {a.ip} lladdr {mac('bridge0', a.namespace)} dev br0 nud permanent")
        sh(f"ip route add {a.ip}/32 dev br0 src {GATE} table {self._table}")
        # Not what others send through here.
        sh(f"ip rule add iif lo {self._beside(a.ip)}")

    def _beside(self, to):
        return f"to {to} ipproto tcp table {self._table}"

    def remove(self):
        """Ends the link, and returns what it did: counts by direction and name, as in `counts["forth"]["lost"]`.

        The hosts are on the bridge again then.
        """
        self._process.send_signal(signal.SIGTERM)
        _, said = self._process.communicate(timeout=10)
        if not self._b:
            sh(f"ip rule del iif lo {self._beside(self._a.ip)}")
            sh(f"ip route flush table {self._table}")
            sh(f"ip neigh del {self._a.ip} dev br0")
            self._a.run(f"ip rule del {self._beside(GATE)}")
            self._a.run("ip link set bridge0 down")
            self._a.run("ip link set bridge0 name eth0")
            self._a.settle()
            self._a.run("sysctl -qw net.ipv4.conf.eth0.arp_ignore=0")
        counts = {line.split(" ", 1)[0]: line for line in said.splitlines()}
        if self._process.returncode or set(counts) != {"forth", "back"}:
            raise RuntimeError(f"ramson-link: {said.strip()}")
        return {way: {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", line)} for way, line in counts.items()}


def _lead(here, device, there, mtu):
    """Leads what goes from one host to another over a device."""
    sh(f"ip link set {device} netns {here.namespace}")
    here.run(f"ip link set {device} {_shape(mtu)}")
    here.run(f"ip link set {device} up")
    here.run(f"ip route add {there.ip}/32 dev {device} src {here.ip}")
    here.run(f"ip -6 route add {there.ip6}/128 dev {device} src {here.ip6}")


def _shape(mtu):
    """No address of its own, so that the kernel sends nothing unasked."""
    return f"mtu {mtu} txqueuelen {_QUEUE} addrgenmode none"


def _tun(name):
    """The descriptor of a new TUN device, which is gone when all descriptors are closed."""
    device = os.open(_CLONE, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device
