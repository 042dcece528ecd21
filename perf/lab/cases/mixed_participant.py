"""A large download arrives intact with Ramson in the middle of a tunnel, with both transports to choose from."""

from ..carry import carry
from ..relay import MixedRelayNetwork as NETWORK


def run(net):
    return str(carry(net, net.subject, "participant", net.PLAIN, "participant", (net.p, net.q)))
