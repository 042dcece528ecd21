"""Ramson follows a list of names at a site of i2pd; then curl reaches by name what the list names, and `ramson name` knows it."""

import os
import subprocess

from ..applications import PROXY, Applications, download
from ..outcome import Failed, eventually
from ..router import destination

NEEDS_RAMSON = True
SLOW = True  # the first list is fetched three minutes after the start
_NAME = "listed.i2p"
_LIMIT = 300


class NETWORK(Applications):
    """The network of applications, with a list to follow."""

    name = "subscription"

    def configure(self):
        super().configure()
        site = self.partner.name_of("plain")
        self.subject.more = f'[names]\nsubscriptions = ["http://{site}/hosts.txt"]\n'
        key = os.path.join(self.partner.dir, "plain.dat")
        self.web.put("hosts.txt", f"# a list\n{_NAME}={destination(key)}\nwrong line\n".encode())


def run(net):
    if not eventually(_LIMIT, lambda: net.partner.name_of("plain") in _lookup(net), 2):
        raise Failed(f"the list was not read in {_LIMIT} s: {_lookup(net)}", net.subject, net.partner)
    file = net.web.file(100_000)
    download(net, file, "--proxy", f"http://{net.subject.ip}:{PROXY}", f"http://{_NAME}/{file.path}")
    return f"read {net.uptime():.0f} s after the start; 100 kB by the name"


def _lookup(net):
    command = [net.lab.ramson, "name", "--data", os.path.join(net.subject.dir, "data"), "lookup", _NAME]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout + done.stderr
