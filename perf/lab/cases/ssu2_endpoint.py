"""A large download arrives intact with Ramson as the endpoint of the server's outbound tunnel, over SSU2."""

from ..carry import carry
from ..relay import Ssu2RelayNetwork as NETWORK


def run(net):
    return str(carry(net, net.subject, "endpoint", net.PLAIN, "outbound_endpoint", (net.p, net.q)))
