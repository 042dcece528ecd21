"""A home's gateway that maps ports when it is asked: miniupnpd, beside the NAT of a host."""

import os
import shutil
import signal
import subprocess

from .nat import nft
from .outcome import Skipped, eventually
from .sandbox import sh

PUBLIC = "11"  # first byte of the addresses that miniupnpd takes for public ones; nothing leaves these namespaces
_TABLES = """
    table inet filter {
        chain forward { type filter hook forward priority 0; jump miniupnpd; }
        chain miniupnpd { }
    }
    table inet nat {
        chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
        chain postrouting { type nat hook postrouting priority 99; jump postrouting_miniupnpd; }
        chain prerouting_miniupnpd { }
        chain postrouting_miniupnpd { }
    }
"""


class MiniUpnpd:
    """The daemon on the gateway of `host`, which is behind a NAT already. It knows only what it was asked while it runs."""

    def __init__(self, host):
        if not shutil.which("miniupnpd"):
            raise Skipped("it takes miniupnpd: apt-get install miniupnpd-nftables")
        self._host, self._process = host, None
        self._dir = os.path.join(host.dir, "gateway")
        os.makedirs(self._dir, exist_ok=True)

    def start(self, upnp=True, pcp=True):
        """Starts it without a memory, for UPnP, or for PCP and NAT-PMP, or all."""
        inside = self._host.nat.inner.rsplit(".", 1)[0]
        yes = {True: "yes", False: "no"}
        configuration = f"""
ext_ifname=eth0
ext_ip={self._host.ip}
listening_ip=in0
http_port=5000
upnp_table_name=filter
upnp_nat_table_name=nat
enable_upnp={yes[upnp]}
enable_natpmp={yes[pcp]}
min_lifetime=120
max_lifetime=86400
secure_mode=yes
system_uptime=yes
uuid=a7b1c1e0-5c5a-4c11-9d4f-6b3ad8c0f00d
allow 1024-65535 {inside}.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""
        path = os.path.join(self._dir, "miniupnpd.conf")
        with open(path, "w") as f:
            f.write(configuration)
        self.forget()
        nft(self._host.namespace, _TABLES)
        with open(os.path.join(self._dir, "miniupnpd.log"), "ab") as log:
            command = ["nsenter", "-t", str(self._host.namespace), "-n", "miniupnpd", "-d", "-f", path, "-P", f"{self._dir}/pid"]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def mapped(self):
        """How many ports it maps at the moment."""
        return self._nft("list", "chain", "inet", "nat", "prerouting_miniupnpd").count(" dnat ")

    def forget(self):
        """Drops every mapping, as a gateway does that was restarted."""
        for table in ("filter", "nat"):
            self._nft("delete", "table", "inet", table)

    def stop(self):
        """Ends it."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            if not eventually(5, lambda: self._process.poll() is not None):
                self._process.kill()
            self._process.wait()
            self._process = None

    def _nft(self, *words):
        command = ["nsenter", "-t", str(self._host.namespace), "-n", "nft", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def make_public(hosts, host):
    """Gives `host`, behind a NAT, an address that looks public, and every other of `hosts` the way there."""
    host.ip = f"{PUBLIC}.{host.n}.0.1"
    host.run(f"ip addr add {host.ip}/8 dev eth0")
    host.nat.call_from(host.ip)
    sh(f"ip route replace {PUBLIC}.0.0.0/8 dev br0")
    for other in hosts:
        if other is not host:
            other.run(f"ip route replace {PUBLIC}.0.0.0/8 dev eth0")
