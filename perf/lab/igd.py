"""A gateway that maps ports for those behind it: miniupnpd, on the NAT of a host."""

import os
import re
import shutil
import subprocess
import time

from .outcome import Skipped

_TABLE = """
table inet miniupnpd {
    chain forward {
        type filter hook forward priority -10; policy accept;
        jump miniupnpd
    }
    chain prerouting {
        type nat hook prerouting priority -110;
        jump prerouting_miniupnpd
    }
    chain postrouting {
        type nat hook postrouting priority 90;
        jump postrouting_miniupnpd
    }
    chain miniupnpd { }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
"""


class Gateway:
    """The gateway before a host behind a NAT; it runs from `start` to `stop`, and forgets all when it stops."""

    def __init__(self, host):
        if not shutil.which("miniupnpd"):
            raise Skipped("it takes miniupnpd: apt-get install miniupnpd-nftables")
        self._host, self._process = host, None
        self._folder = os.path.join(host.dir, "gateway")
        os.makedirs(self._folder, exist_ok=True)

    def start(self, protocol):
        """Begins to grant ports by `upnp`, `natpmp` or `pcp` alone."""
        inner = self._host.nat.inner.rsplit(".", 1)[0] + ".1"
        # The outer address is a private one, which no gateway would announce: it is told to.
        text = f"""
ext_ifname=eth0
ext_ip=203.0.113.1
listening_ip=in0
http_port=5000
enable_upnp={"yes" if protocol == "upnp" else "no"}
enable_pcp_pmp={"no" if protocol == "upnp" else "yes"}
secure_mode=yes
min_lifetime=60
max_lifetime=7200
lease_file={self._folder}/leases
uuid=00000000-0000-4000-8000-000000000001
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
allow 1024-65535 {inner.rsplit(".", 1)[0]}.0/24 1024-65535
"""
        text = text.replace("ext_ip=203.0.113.1", f"ext_ip={self._host.ip}")
        path = os.path.join(self._folder, "miniupnpd.conf")
        with open(path, "w") as f:
            f.write(text)
        self._nft("-f", "-", input=_TABLE)
        log = open(os.path.join(self._folder, "out.log"), "ab")
        command = ["nsenter", "-t", str(self._host.namespace), "-n", "miniupnpd", "-d", "-f", path, "-P", f"{self._folder}/pid"]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        time.sleep(1)

    def mappings(self):
        """The ports that lead to the host, one line each."""
        listed = self._nft("list", "chain", "inet", "miniupnpd", "prerouting_miniupnpd", check=False)
        return re.findall(r"(?:tcp|udp) dport \d+.*dnat.*", listed)

    def stop(self):
        """Ends it, and with it all that it has mapped."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
            self._nft("delete", "table", "inet", "miniupnpd", check=False)

    def _nft(self, *arguments, input=None, check=True):
        command = ["nsenter", "-t", str(self._host.namespace), "-n", "nft", *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise Skipped(f"nft does not work here: {done.stderr.strip()}")
        return done.stdout
