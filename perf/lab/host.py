"""One machine of the laboratory: a network namespace with one address of each family on the common bridge.

Every router has an address of its own because routers judge each other by it: a peer that calls from an address it does
not publish is banned, and two routers on one address look like one operator with many.
"""

import json
import subprocess

from .nat import Nat, nft
from .sandbox import NETWORK, NETWORK6, new_namespace, sh


class Host:
    """Host `n` at NETWORK.n.0.1 and 2001:db8:n::1. A router speaks over the IP `families` that it is told."""

    families = (4,)

    def __init__(self, n):
        self.n, self.ip, self.ip6, self.nat = n, f"{NETWORK}.{n}.0.1", f"{NETWORK6}:{n}::1", None
        self._holder = new_namespace()
        sh(f"ip link add v{n} type veth peer name eth0 netns {self._holder.pid}")
        sh(f"ip link set v{n} master br0 up")
        self.run("ip link set lo up")
        self.settle()

    def settle(self):
        """Has its device on the bridge up, with its addresses."""
        for command in (
            f"ip addr add {self.ip}/8 dev eth0",
            f"ip addr add {self.ip6}/32 dev eth0 nodad",
            "ip link set eth0 up",
        ):
            self.run(command)

    @property
    def namespace(self):
        """The process id that names its network namespace."""
        return self._holder.pid

    def run(self, command):
        """Runs a command in its network namespace."""
        sh(f"nsenter -t {self.namespace} -n {command}")

    def sent(self):
        """Bytes that it has sent so far."""
        shown = subprocess.check_output(["ip", "-s", "-j", "link", "show", f"v{self.n}"])
        return json.loads(shown)[0]["stats64"]["rx"]["bytes"]

    @property
    def address(self):
        """Where others reach its transports. The laboratory itself always comes by `ip`."""
        return self.ip if 4 in self.families else self.ip6

    @property
    def endpoint(self):
        """Its transports' address and port, as in a URL."""
        return f"{self.ip}:{self.port}" if 4 in self.families else f"[{self.ip6}]:{self.port}"

    def spawn(self, argv, **options):
        """Starts a command on this host. The process is the command itself, not a wrapper, so its id can be measured."""
        holder = self.nat.holder if self.nat else self._holder
        return subprocess.Popen(["nsenter", "-t", str(holder.pid), "-n", *argv], **options)

    def put_behind_nat(self, exporter, symmetric=False, forwards=None):
        """From now on what is started here runs behind a NAT, whose public address is the host's."""
        self.nat = Nat(self.namespace, self.n, exporter, symmetric, forwards)

    def forbid_calls(self, other, protocol="tcp"):
        """Lets it begin no connection to the port of router `other`, which can still call it: the way to decide which of
        two routers calls the other. Over UDP it can send nothing there, so answers fall away too."""
        self.run(f"ip {self._rule('add', other, protocol)}")

    def refuse_calls(self, other):
        """Lets router `other` begin nothing here over SSU2, though its hole punches come in: they are longer than a
        TokenRequest, 168 bytes of UDP or more against 130 or less."""
        rules = f"""
            table ip calls {{
                chain refused {{
                    type filter hook input priority filter;
                    ip saddr {other.ip} udp length < 150 ct state new drop
                }}
            }}
        """
        nft(self.namespace, rules)

    def hear_calls(self):
        """Takes `refuse_calls` back."""
        nft(self.namespace, "flush ruleset")

    def allow_calls(self, other):
        """Takes `forbid_calls` back."""
        self.run(f"ip {self._rule('del', other)}")

    @staticmethod
    def _rule(verb, other, protocol="tcp"):
        family = "" if 4 in other.families else "-6 "
        return f"{family}rule {verb} to {other.address} ipproto {protocol} dport {other.port} unreachable"

    def remove(self):
        """Takes the host off the bridge."""
        if self.nat:
            self.nat.remove()
        self._holder.kill()
        self._holder.wait()
        subprocess.run(["ip", "link", "del", f"v{self.n}"], stderr=subprocess.DEVNULL, check=False)
