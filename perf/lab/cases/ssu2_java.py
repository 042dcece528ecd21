"""The same with Java I2P next to Ramson, over SSU2."""

from ..carry import carry
from ..relay import Ssu2RelayNetwork as NETWORK


def run(net):
    return str(carry(net, net.subject, "java", net.JAVA, "participant", (net.java, net.q)))
