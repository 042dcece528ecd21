"""Streams between destinations of Ramson and Java I2P, each way, with their SHA-256."""

import re

from ..download import Broken, Direct
from ..i2pd import I2pd
from ..java import JavaRouter
from ..network import Network
from ..outcome import Failed
from ..subject import subject

NEEDS_RAMSON = True
_PORT = 4600
_SIZE, _QUICK_SIZE = 100_000_000, 5_000_000


class NETWORK(Network):
    """Ramson and a Java router with destinations, and i2pd between them."""

    name = "streams-java"

    def __init__(self, lab):
        super().__init__(lab)
        self.hops = [self.add(I2pd(self, n, floodfill=n < 4)) for n in range(1, 8)]
        self.java = self.add(JavaRouter(self, 9))
        self.subject = self.add(subject(self, 10))
        self.subject.serve("site", self.web)


def run(net):
    size = _QUICK_SIZE if net.lab.quick else _SIZE
    facts = [net.java.download(net.subject, "site", net.web.file(size), 300)]
    name = net.java.serve("site", net.web)
    # It learns whom to reach only now.
    net.subject.reach("to-java", _PORT, name)
    net.subject.drain()
    net.subject.start()
    way = Direct(net.subject.ip, _PORT)
    try:
        first = way.fetch_patiently("", net.web.file(1_000), 180)
        transfer = way.fetch("", net.web.file(size), limit=max(180, size / 100_000))
    except Broken as e:
        raise Failed(f"from Java: {e}", net.subject, net.java) from e
    # Java has moments without an outbound tunnel, and answers none then.
    rounds = (net.subject.ping(name) for _ in range(4))
    pinged = next((words for words in rounds if re.search(r"[1-9] of 2 answered", words)), None)
    if not pinged:
        raise Failed("Java answers no ping", net.subject, net.java)
    facts.append(f"from Java: first byte page {first.seconds:.1f} s, {size // 1_000_000} MB at {transfer.rate:.2f} MB/s")
    facts.append(f"pings: {pinged.splitlines()[-1]}")
    return "; ".join(facts)
