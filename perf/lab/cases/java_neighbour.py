"""The same with Java I2P next to Ramson: the file comes from Java, the acknowledgements go to it."""

from ..carry import carry
from ..relay import RelayNetwork as NETWORK


def run(net):
    return str(carry(net, net.subject, "java", net.JAVA, "participant", (net.java, net.q)))
