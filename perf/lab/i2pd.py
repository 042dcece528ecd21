"""i2pd as a peer: every setting that a network without internet needs, and what its console tells."""

import os
import re
import sys

from .outcome import eventually
from .router import NETWORK_ID, Router, destination_name

CONSOLE = 7070


class I2pd(Router):
    """An i2pd. Proxies and interfaces that the cases do not use are off, so that all its load is theirs."""

    kind = "i2pd"
    page = CONSOLE
    chatter = re.compile(r"Profiling: No profile|Can't load \w+ certificates|Reseed: |Addressbook: |Duplicate remote endpoint")

    def __init__(self, net, n, floodfill=False, ntcp2=True, ssu2=True, exploratory=3):
        super().__init__(net, n, floodfill)
        self.ntcp2, self.ssu2, self.exploratory = ntcp2, ssu2, exploratory
        self.tunnels = []
        self.sam = self.i2cp = self.bob = self.i2pcontrol = False  # whether programs can open destinations

    def _configuration(self):
        yes = {True: "true", False: "false"}
        # reservedrange: addresses of private networks are refused otherwise. strictheaders: the console would answer to
        # its own name only. persist.profiles: what was learnt while the others were down must not outlive the first start.
        return f"""
log = file
logfile = {self.dir}/i2pd.log
loglevel = {os.environ.get("I2PD_LOG", "warn")}
{self._place()}
port = {self.port}
ipv4 = {yes[4 in self.families]}
ipv6 = {yes[6 in self.families]}
netid = {NETWORK_ID}
reservedrange = false
floodfill = {yes[self.floodfill]}
bandwidth = X
[ntcp2]
enabled = {yes[self.ntcp2]}
[ssu2]
enabled = {yes[self.ssu2]}
[http]
address = {self.nat.inner if self.nat else self.ip}
port = {CONSOLE}
strictheaders = false
[httpproxy]
enabled = false
[socksproxy]
enabled = false
[sam]
enabled = {yes[self.sam]}
address = 0.0.0.0
[i2cp]
enabled = {yes[self.i2cp]}
address = {self.ip}
[bob]
enabled = {yes[self.bob]}
address = {self.ip}
[i2pcontrol]
enabled = {yes[self.i2pcontrol]}
address = {self.ip}
[reseed]
threshold = 0
urls =
yggurls =
[addressbook]
subscriptions =
defaulturl =
[nettime]
enabled = false
[persist]
profiles = false
[exploratory]
inbound.length = 2
inbound.quantity = {self.exploratory}
outbound.length = 2
outbound.quantity = {self.exploratory}
"""

    def _place(self):
        if self.nat:  # its public address is what others tell it
            return f"address4 = {self.nat.inner}"
        return f"host = {self.address}\naddress4 = {self.ip}\naddress6 = {self.ip6}\nnat = false"

    def command(self):
        binary = os.path.join(self.lab.peers, "i2pd", "i2pd")
        if not os.path.exists(binary):
            sys.exit(f"no i2pd in {self.lab.peers}: run perf/peers-fetch first")
        for name, text in (("i2pd.conf", self._configuration()), ("tunnels.conf", "\n".join(self.tunnels))):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(text)
        return [
            binary,
            f"--datadir={self.dir}",
            f"--conf={self.dir}/i2pd.conf",
            f"--tunconf={self.dir}/tunnels.conf",
        ]

    def log_files(self):
        return [*super().log_files(), os.path.join(self.dir, "i2pd.log")]

    # Client tunnels.

    def serve(self, name, web, inbound=2, outbound=2, quantity=2, kind="http", **options):
        """Adds a server tunnel to `web`; of `kind` "server" it does not look into what passes. `inbound` and `outbound` are
        routers, nearest first, or numbers of hops; `options` as i2pd calls them."""
        self._tunnel(name, inbound, outbound, quantity, type=kind, host=web.ip, port=web.port, **options)

    def reach(self, name, port, destination, inbound=2, outbound=2, quantity=2, kind="client", **options):
        """Adds a client tunnel of this kind on `port` to a .b32.i2p name; `options` as i2pd calls them."""
        options |= {"type": kind, "address": self.ip, "port": port, "destination": destination}
        self._tunnel(name, inbound, outbound, quantity, **options)

    def proxy(self, name, port, inbound, outbound, quantity=2):
        """Adds an HTTP proxy on `port` with a destination of its own. `inbound`, `outbound`: see `serve`."""
        self._tunnel(name, inbound, outbound, quantity, type="httpproxy", address=self.ip, port=port)

    def _tunnel(self, name, inbound, outbound, quantity, **options):
        """One section of tunnels.conf.

        i2pd has one list of explicit peers for both directions, nearest first, and takes as many of it as the direction
        has hops. So one of the two paths must be the beginning of the other.
        """
        if isinstance(inbound, list):
            longer, shorter = sorted((inbound, outbound), key=len, reverse=True)
            if longer[: len(shorter)] != shorter:
                raise ValueError(f"{name}: i2pd cannot have these two paths in one tunnel")
            options["explicitPeers"] = ",".join(router.hash() for router in longer)
            inbound, outbound = len(inbound), len(outbound)
        options = {"keys": f"{name}.dat"} | options
        options |= {
            "inbound.length": inbound,
            "outbound.length": outbound,
            "inbound.quantity": quantity,
            "outbound.quantity": quantity,
        }
        self.tunnels.append(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in options.items()))

    def name_of(self, tunnel, name=destination_name):
        """The .b32.i2p name of one of its tunnels, whose keys it makes at its first start with it."""
        keys = os.path.join(self.dir, f"{tunnel}.dat")
        eventually(20, lambda: os.path.exists(keys), 0.2)
        return name(keys)

    # The console.

    def sessions(self):
        """All its sessions, as (transport, "in" or "out" as seen from here, address of the peer)."""
        found = []
        for section in re.split(r"(?=<b>(?:NTCP2|SSU2))", self.get(CONSOLE, "?page=transports"))[1:]:
            transport = re.match(r"<b>(\w+)", section)[1]
            for item in re.findall(r'class="listitem">(.*?)</div>', section, re.S):
                address = re.search(r": ?(\d+\.\d+\.\d+\.\d+|\[[\da-f:]+\]):\d+", item)
                if address:
                    we_called = item.find("&#8658;") in range(0, address.start())
                    found.append((transport, "out" if we_called else "in", address[1].strip("[]")))
        return found

    def _text(self):
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.get(CONSOLE)))

    def _figure(self, name):
        found = re.search(re.escape(name) + r":?\s*([\d.]+)", self._text())
        return float(found[1]) if found else 0.0

    def network_status(self):
        """What it thinks of its own reachability: `OK`, `Firewalled`, `Testing`, `Unknown`."""
        found = re.search(r"Network status:?\s*(\w+)", self._text())
        return found[1] if found else "Unknown"

    def state(self):
        return [f"sessions: {' '.join('-'.join(session) for session in self.sessions())}"]

    def build_share(self):
        """The share of its own tunnels that came about, of late."""
        return self._figure("Tunnel creation success rate") / 100

    def known_routers(self):
        """How many RouterInfos it has."""
        return int(self._figure("Routers"))

    def known_lease_sets(self):
        """How many LeaseSets it has, as a floodfill."""
        return int(self._figure("LeaseSets"))

    def knows(self, other):
        """Whether it keeps the RouterInfo of `other` on disk, where it writes what it thinks worth keeping."""
        name = other.hash()
        return os.path.exists(os.path.join(self.dir, "netDb", f"r{name[0]}", f"routerInfo-{name}.dat"))
