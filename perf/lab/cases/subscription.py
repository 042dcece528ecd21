"""Ramson follows a list of names at a site of i2pd; then curl reaches by name what the list names, and `ramson name` knows it, also after a kill while names are written."""

import os
import subprocess
import threading

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
    seconds, kept = net.uptime(), _kill_while_it_writes(net)
    download(net, file, "--proxy", f"http://{net.subject.ip}:{PROXY}", f"http://{_NAME}/{file.path}")
    return f"read {seconds:.0f} s after the start; 100 kB by the name, before and after a kill, which left {kept} of the names that were entered meanwhile"


def _kill_while_it_writes(net):
    """Ends the router as a power cut would while one name after the other is entered; all that `ramson name` has said to be there is there."""
    data, target = os.path.join(net.subject.dir, "data"), destination(os.path.join(net.partner.dir, "plain.dat"))
    said, killed = [], threading.Timer(2, net.subject.kill)
    killed.start()
    for n in range(10_000):
        command = [net.lab.ramson, "name", "--data", data, "add", f"name-{n}.i2p", target]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode == 0 and not net.subject.process:
            break
        if done.returncode == 0:
            said.append(f"name-{n}.i2p")
    killed.join()
    net.subject.start()
    lost = [name for name in [_NAME, *said] if not eventually(30, lambda name=name: ".b32.i2p" in _lookup(net, name), 1)]
    if lost:
        raise Failed(f"after a kill these names are not there: {lost[:5]}", net.subject)
    return len(said)


def _lookup(net, name=_NAME):
    command = [net.lab.ramson, "name", "--data", os.path.join(net.subject.dir, "data"), "lookup", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout + done.stderr
