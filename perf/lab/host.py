"""One machine of the laboratory: a network namespace with one address on the common bridge.

Every router has an address of its own because routers judge each other by it: a peer that calls from an address it does
not publish is banned, and two routers on one address look like one operator with many.
"""

import os
import subprocess
import time

from .sandbox import NETWORK, sh


class Host:
    """Host `n` at 10.n.0.1."""

    def __init__(self, n):
        self.n, self.ip = n, f"{NETWORK}.{n}.0.1"
        self._holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self._holder.pid}/ns/net") == ours:
            time.sleep(0.01)
        sh(f"ip link add v{n} type veth peer name eth0 netns {self._holder.pid}")
        sh(f"ip link set v{n} master br0 up")
        for command in (f"ip addr add {self.ip}/8 dev eth0", "ip link set eth0 up", "ip link set lo up"):
            sh(f"nsenter -t {self._holder.pid} -n {command}")

    def spawn(self, argv, **options):
        """Starts a command on this host. The process is the command itself, not a wrapper, so its id can be measured."""
        return subprocess.Popen(["nsenter", "-t", str(self._holder.pid), "-n", *argv], **options)

    def forbid_calls(self, other):
        """Lets it begin no connection to the port of router `other`, which can still call it: the way to decide which of
        two routers calls the other."""
        sh(f"nsenter -t {self._holder.pid} -n ip rule add {self._calls(other)}")

    def allow_calls(self, other):
        """Takes `forbid_calls` back."""
        sh(f"nsenter -t {self._holder.pid} -n ip rule del {self._calls(other)}")

    @staticmethod
    def _calls(other):
        return f"to {other.ip} ipproto tcp dport {other.port} unreachable"

    def remove(self):
        """Takes the host off the bridge."""
        self._holder.kill()
        self._holder.wait()
        subprocess.run(["ip", "link", "del", f"v{self.n}"], stderr=subprocess.DEVNULL, check=False)
