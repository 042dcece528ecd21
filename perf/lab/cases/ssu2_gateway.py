"""A large download arrives intact with Ramson as the gateway of the client's inbound tunnel, over SSU2."""

from ..carry import carry
from ..relay import Ssu2RelayNetwork as NETWORK


def run(net):
    return str(carry(net, net.subject, "plain", net.GATEWAY, "inbound_gateway", (net.p, net.q)))
