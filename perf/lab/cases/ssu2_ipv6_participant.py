"""A large download arrives intact with Ramson in the middle of a tunnel, over SSU2 and IPv6."""

from ..carry import carry
from ..relay import Ssu2Ipv6RelayNetwork as NETWORK


def run(net):
    return str(carry(net, net.subject, "participant", net.PLAIN, "participant", (net.p, net.q)))
