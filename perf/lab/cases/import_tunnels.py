"""The same tunnels.conf does the same at i2pd and at Ramson, which reads it as it is: a client, a proxy and a web server."""

import os
import subprocess

from ..applications import PARTNER_PROXY, Applications, curl, download
from ..outcome import Failed

NEEDS_RAMSON = True
_CLIENT, _PROXY = 4620, 4621
_TUNNELS = """
# what both are given
[imported-client]
type = client
address = 0.0.0.0
port = {client}
destination = {site}
keys = transient
inbound.length = 2
outbound.length = 2
[imported-proxy]
type = httpproxy
address = 0.0.0.0
port = {proxy}
inbound.length = 2
outbound.length = 2
[imported-web]
type = http
host = {web.ip}
port = {web.port}
hostoverride = imported.example
keys = imported-web.dat
inbound.length = 2
outbound.length = 2
inbound.quantity = 2
outbound.quantity = 2
"""


class NETWORK(Applications):
    """The network of applications, with the same tunnels at one more i2pd."""

    name = "import-tunnels"

    def configure(self):
        super().configure()
        self.text = _TUNNELS.format(client=_CLIENT, proxy=_PROXY, site=self.partner.name_of("plain"), web=self.web)
        self.other = self.hops[-1]
        self.other.tunnels.append(self.text)
        path = os.path.join(self.dir, "tunnels.conf")
        with open(path, "w") as f:
            f.write(self.text)
        self.subject.tunnel_files = [path]
        command = [self.lab.ramson, "import-tunnels", path]
        self.imported = subprocess.run(command, capture_output=True, check=True, text=True).stdout


def run(net):
    file, proxy = net.web.file(100_000), ("--proxy", f"http://{net.partner.ip}:{PARTNER_PROXY}")
    for router in (net.other, net.subject):
        download(net, file, f"http://{router.ip}:{_CLIENT}/{file.path}")
        through = ("--proxy", f"http://{router.ip}:{_PROXY}")
        download(net, file, *through, f"http://{net.partner.name_of('plain')}/{file.path}")
        web = f"http://{router.name_of('imported-web')}"
        download(net, file, *proxy, f"{web}/{file.path}")
        heard = curl(*proxy, f"{web}/headers")[1].decode().lower()
        if "host: imported.example" not in heard or "x-i2p-destb32: " not in heard:
            raise Failed(f"the web server behind {router} heard {heard}", router)
    if net.imported.count("\n[[tunnel]]") != 3:
        raise Failed(f"`ramson import-tunnels` makes of it {net.imported}", net.subject)
    return "100 kB by each of three tunnels at i2pd and at Ramson, headers for the web server alike"
