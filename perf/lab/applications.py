"""A network for what users run: Ramson and an i2pd with sites and proxies, and enough i2pd between them for tunnels of two hops."""

import hashlib
import os
import subprocess
import time

from . import bob, i2cp, i2pcontrol, sam
from .i2pd import I2pd
from .ngircd import Ngircd
from .network import Network
from .outcome import Failed
from .subject import subject
from .swarm import Tracker

PROXY, SOCKS, PARTNER_PROXY = 4602, 4603, 4601
IRC, PARTNER_IRC = 4604, 4605
HOST = "site.example"  # what the web server behind Ramson is told as `Host`
_PATIENCE = 180  # seconds for the first tunnels and LeaseSets


class Applications(Network):
    """Hosts: the i2pd at 1, Ramson at 10, hops between. Each of the two has a site."""

    name = "applications"

    def __init__(self, lab):
        super().__init__(lab)
        self.partner = self.add(I2pd(self, 1))
        self.hops = [self.add(I2pd(self, n, floodfill=n < 5)) for n in range(2, 8)]
        self.subject = self.add(subject(self, 10))
        self.subject.serve("site", self.web, kind="http-server", host=HOST, changes_per_minute=3)
        self.folder = os.path.join(self.dir, "folder")
        os.makedirs(os.path.join(self.folder, "sub"))
        self.subject.show("folder", self.folder)
        self.irc, self.tracker = Ngircd(self.dir), Tracker()
        self.subject.serve("irc", self.irc, kind="irc-server", webirc_password=self.irc.password, port=6667)
        self.subject.proxy_port, self.subject.socks_port = PROXY, SOCKS
        self.subject.sam_port, self.partner.sam = sam.PORT, True
        self.subject.i2cp_port, self.partner.i2cp, self.hops[-1].i2cp = i2cp.PORT, True, True
        self.subject.bob_port, self.partner.bob = bob.PORT, True
        self.subject.i2pcontrol_port, self.partner.i2pcontrol = i2pcontrol.PORT, True
        self.partner.serve("site", self.web, inbound=2, outbound=2)
        self.partner.serve("plain", self.web, inbound=2, outbound=2, kind="server")
        self.partner.serve("irc", self.irc, inbound=2, outbound=2, kind="server")
        self.partner.serve("tracker", self.tracker, inbound=2, outbound=2, kind="server")

    def configure(self):
        self.partner.proxy("proxy", PARTNER_PROXY, inbound=2, outbound=2)
        self.partner.reach("to-irc", PARTNER_IRC, self.subject.name_of("irc"))
        self.subject.reach("to-irc", IRC, self.partner.name_of("irc"), kind="irc-client")

    def stop(self):
        super().stop()
        self.irc.stop()
        self.tracker.close()


def curl(*options, limit=60):
    """Runs curl with these options; returns its exit status, the body and what it says of itself."""
    command = ["curl", "-sS", "--max-time", str(limit), *options]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").strip()


def download(net, file, *options, patience=_PATIENCE):
    """Downloads a file with curl until it arrives whole; raises `Failed` after `patience` seconds."""
    end = time.monotonic() + patience
    while True:
        status, body, words = curl(*options)
        if status == 0 and hashlib.sha256(body).hexdigest() == file.sha256:
            return
        if time.monotonic() > end:
            page = body[:2000].decode("utf-8", "replace") if len(body) < file.size else ""
            raise Failed(f"curl {' '.join(options)}: {len(body)} of {file.size} bytes, {words} {page}", net.subject, net.partner)
        time.sleep(2)
