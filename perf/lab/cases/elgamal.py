"""Destinations of Java I2P that know nothing newer than ElGamal have streams with Ramson's and with programs at its I2CP, each way."""

import os

from .. import i2cp
from ..download import Broken, Direct
from ..i2pd import I2pd
from ..java import JavaRouter
from ..network import Network
from ..outcome import Failed
from ..subject import subject

NEEDS_RAMSON = True
_PORT = 4600
_OLD = "i2cp.leaseSetEncType=0"
_SIZE, _QUICK_SIZE = 10_000_000, 2_000_000
_ECHO, _QUICK_ECHO = 2_000_000, 200_000
_LIMIT = 180
_FIRST, _SECOND = f"i2cp.leaseSetType=1,{_OLD}", f"i2cp.leaseSetType=3,{_OLD}"
_BOTH = "i2cp.leaseSetType=3,i2cp.leaseSetEncType=4;0"
_EVENTS = "ramson_destination_events_total"


class NETWORK(Network):
    """Ramson and a Java router with destinations, and i2pd between them."""

    name = "elgamal"

    def __init__(self, lab):
        super().__init__(lab)
        self.hops = [self.add(I2pd(self, n, floodfill=n < 4)) for n in range(1, 7)]
        self.hops[-1].i2cp = True
        self.java = self.add(JavaRouter(self, 9))
        self.subject = self.add(subject(self, 10))
        self.subject.i2cp_port = i2cp.PORT
        self.subject.serve("site", self.web, elgamal=True)


def run(net):
    size = _QUICK_SIZE if net.lab.quick else _SIZE
    # Java finds the key of ElGamal in Ramson's LeaseSet.
    facts = [net.java.download(net.subject, "site", net.web.file(size), 240, _OLD), _from_java(net, size), _programs(net)]
    new, more = (net.subject.metrics().total(_EVENTS, part="elgamal", event=event) for event in ("question_opened", "message_opened"))
    if not new or not more:
        raise Failed(f"{new:.0f} sessions and {more:.0f} messages by ElGamal", net.subject, net.java)
    return f"{'; '.join(facts)}; {new:.0f} sessions and {more:.0f} messages with tags opened"


def _from_java(net, size):
    """A server of Java, whose LeaseSet is one of the first kind; Ramson's client has no setting for it."""
    name = net.java.serve("site", net.web, _OLD)
    net.subject.reach("to-java", _PORT, name)
    net.subject.reload()
    way = Direct(net.subject.ip, _PORT)
    try:
        way.fetch_patiently("", net.web.file(1_000), 180)
        transfer = way.fetch("", net.web.file(size), limit=max(120, size / 50_000))
    except Broken as e:
        raise Failed(f"from Java: {e}", net.subject, net.java) from e
    return f"from Java: {size // 1_000_000} MB at {transfer.rate:.2f} MB/s"


def _programs(net):
    """Programs of Java's library echo bytes with one another, whose LeaseSets name ElGamal alone, of the first kind or the second, and whose
    keys sign by DSA or by EdDSA. In a short run the first caller of each server is enough."""
    size, most = (_QUICK_ECHO, 1) if net.lab.quick else (_ECHO, 2)
    echoes = f"1x{size}"
    folder, i2pd = os.path.join(net.dir, "programs"), net.hops[-1]
    os.makedirs(folder, exist_ok=True)
    dsa = i2cp.make_keys(net.lab, folder, "DSA_SHA1")
    facts = []
    for name, server, keys, callers in (
        ("first kind, DSA", (net.subject, _FIRST), dsa, ((net.java, _OLD), (i2pd, _FIRST))),
        ("second kind", (net.subject, _SECOND), None, ((net.java, _OLD),)),
        ("both keys", (net.subject, _BOTH), None, ((net.java, _OLD), (net.java, _BOTH))),
        ("Java's", (net.java, _OLD), None, ((net.subject, _FIRST), (net.subject, _SECOND))),
        ("i2pd's", (i2pd, _FIRST), None, ((net.subject, _FIRST),)),
    ):
        echo = i2cp.Echo(net.lab, folder, server[0], server[1], keys)
        try:
            if not (b32 := echo.name()):
                raise Failed(f"{name}: no session: {echo.said()[-3:]}", net.subject, net.java)
            for caller, options in callers[:most]:
                lines, times = i2cp.call(net.lab, folder, caller, b32, [echoes], _LIMIT, options)
                if not times:
                    raise Failed(f"{name} called from {caller.kind}: {lines[-3:]}", net.subject, server[0], caller)
                facts.append(f"{name} from {caller.kind} {size / 1000 / times[echoes]:.2f} MB/s")
        finally:
            echo.stop()
    return f"{size / 1e6:.1f} MB echoed by programs: {', '.join(facts)}"
