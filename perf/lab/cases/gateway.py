"""A large download arrives intact with Ramson as the gateway of the client's inbound tunnel."""

from ..carry import carry
from ..relay import RelayNetwork as NETWORK


def run(net):
    return str(carry(net, net.subject, "plain", net.GATEWAY, "inbound_gateway", (net.p, net.q)))
