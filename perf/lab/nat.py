"""A NAT in front of a router: a second namespace, and nftables between the two.

The router's own namespace is the gateway, with the public address; the router itself runs behind it in a private network.
Only what the router has called comes through, what the gateway forwards, and the page of its exporter, which the laboratory
must read.
"""

import shutil
import subprocess

from .outcome import Skipped
from .sandbox import new_namespace, sh


def nft(namespace, rules):
    """Gives rules to nftables in the network namespace of a process."""
    if not shutil.which("nft"):
        raise Skipped("it takes nft: apt-get install nftables")
    command = ["nsenter", "-t", str(namespace), "-n", "nft", "-f", "-"]
    done = subprocess.run(command, input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"nft does not work here: {done.stderr.strip().splitlines()[0]}")


class Nat:
    """The NAT of one host. `symmetric` draws a new port for every peer. `forwards` is a port that leads to the router, or
    `"all"` for a NAT that maps one address to one other."""

    def __init__(self, gateway, n, port, symmetric=False, forwards=None):
        self._gateway, self._symmetric, self._exporter, self.forwards = gateway, symmetric, port, forwards
        self._ports, self._from = 30000, None
        self.inner = f"192.168.{n}.2"
        self.holder = new_namespace()
        self._in(f"ip link add in0 type veth peer name eth0 netns {self.holder.pid}")
        for command in (f"ip addr add 192.168.{n}.1/24 dev in0", "ip link set in0 up", "sysctl -qw net.ipv4.ip_forward=1"):
            self._in(command)
        # As short as NATs have it: who was called long ago comes in no more.
        for timeout in ("", "_stream"):
            subprocess.run(
                ["nsenter", "-t", str(gateway), "-n", "sysctl", "-qw", f"net.netfilter.nf_conntrack_udp_timeout{timeout}=30"],
                capture_output=True,
                check=False,
            )
        for command in (
            *(f"ip addr add {self.inner}/24 dev eth0", "ip link set eth0 up", "ip link set lo up"),
            f"ip route add default via 192.168.{n}.1",
        ):
            sh(f"nsenter -t {self.holder.pid} -n {command}")
        self._rules()

    def _in(self, command):
        sh(f"nsenter -t {self._gateway} -n {command}")

    def rebind(self):
        """Forgets who had which port, and gives others from now on, as a NAT does that was restarted."""
        if not shutil.which("conntrack"):
            raise Skipped("it takes conntrack: apt-get install conntrack")
        self._ports += 1000
        self._rules()
        self._in("conntrack -D -p udp")

    def forward(self, forwards):
        """From now on this port leads to the router, `"all"` of them, or none."""
        self.forwards = forwards
        self._rules()
        if shutil.which("conntrack"):
            # What was called through what is gone falls silent, as behind a gateway that was restarted.
            subprocess.run(["nsenter", "-t", str(self._gateway), "-n", "conntrack", "-F"], capture_output=True, check=False)

    def call_from(self, address):
        """From now on this is the public address."""
        self._from = address
        self._rules()

    def _rules(self):
        source = f"snat to {self._from}" if self._from else "masquerade to "
        masquerade = f"{source}:{self._ports}-{self._ports + 999}" + " fully-random" * self._symmetric
        inward = ""
        if self.forwards == "all":
            masquerade = "masquerade"
            inward = f'iifname "eth0" meta l4proto {{ tcp, udp }} dnat to {self.inner}'
        elif self.forwards:
            inward = f'iifname "eth0" meta l4proto {{ tcp, udp }} th dport {self.forwards} dnat to {self.inner}'
        rules = f"""
            flush ruleset
            table ip nat {{
                chain out {{
                    type nat hook postrouting priority srcnat;
                    oifname "eth0" meta l4proto {{ tcp, udp }} {masquerade}
                }}
                chain in {{
                    type nat hook prerouting priority dstnat;
                    iifname "eth0" tcp dport {self._exporter} dnat to {self.inner}
                    {inward}
                }}
            }}
            table ip filter {{
                chain through {{
                    type filter hook forward priority filter; policy drop;
                    iifname "in0" accept
                    ct state established,related accept
                    ct status dnat accept
                }}
                chain to_gateway {{
                    type filter hook input priority filter;
                    iifname "eth0" meta l4proto {{ tcp, udp }} ct state new ct status != dnat drop
                }}
            }}
        """
        nft(self._gateway, rules)

    def remove(self):
        """Ends the inner namespace; the rules go with the gateway."""
        self.holder.kill()
        self.holder.wait()
