"""Encrypted LeaseSets, each way between Ramson and i2pd: for all who know the name, and for readers with keys of both kinds."""

from ..download import Broken, Direct
from ..i2pd import I2pd
from ..network import Network
from ..outcome import Failed
from ..ramson import reader_key
from ..router import blinded_name
from ..subject import subject

NEEDS_RAMSON = True
_PORT, _WRONG = 4600, 4650
_SIZE = 300_000
_KINDS = ("open", "dh", "psk")


class NETWORK(Network):
    """Ramson and an i2pd, each with three encrypted sites and a client of each of the other's, and hops between."""

    name = "encrypted"

    def __init__(self, lab):
        super().__init__(lab)
        self.partner = self.add(I2pd(self, 1))
        self.hops = [self.add(I2pd(self, n, floodfill=n < 5)) for n in range(2, 8)]
        self.subject = self.add(subject(self, 10))
        self.reader, self.public = reader_key(lab)
        ours = {"open": {}, "dh": {"readers": [self.public]}, "psk": {"reader_secrets": [self.reader]}}
        theirs = {"open": {}, "dh": {"i2cp.leaseSetAuthType": 1, "i2cp.leaseSetClient.dh.1": f"reader:{self.public}"},
                  "psk": {"i2cp.leaseSetAuthType": 2, "i2cp.leaseSetClient.psk.1": f"reader:{self.reader}"}}
        for kind in _KINDS:
            self.subject.serve(kind, self.web, encrypted=True, **ours[kind])
            self.partner.serve(kind, self.web, inbound=2, outbound=2, kind="server", **{"i2cp.leaseSetType": 5}, **theirs[kind])

    def configure(self):
        for n, kind in enumerate(_KINDS):
            at_partner, here = (router.name_of(kind, blinded_name) for router in (self.partner, self.subject))
            self.subject.reach(f"to-{kind}", _PORT + n, at_partner, reader_key=self.reader)
            self.partner.reach(f"to-{kind}", _PORT + n, here, **{"i2cp.leaseSetPrivKey": self.reader})
        self.subject.reach("wrong-key", _WRONG, self.partner.name_of("psk", blinded_name), reader_key=self.public)
        self.subject.reach("no-key", _WRONG + 1, self.partner.name_of("dh", blinded_name))


def run(net):
    file, seconds = net.web.file(_SIZE), []
    for client in (net.subject, net.partner):
        for n, kind in enumerate(_KINDS):
            try:
                transfer = Direct(client.ip, _PORT + n).fetch_patiently("", file, 180)
            except Broken as e:
                raise Failed(f"{client.kind} reads {kind}: {e}", net.subject, net.partner) from e
            seconds.append(f"{client.kind} {kind} {transfer.seconds:.1f} s")
    for port in (_WRONG, _WRONG + 1):
        try:
            Direct(net.subject.ip, port).fetch("", file, limit=30)
        except Broken:
            continue
        raise Failed("a site was read without its key", net.subject, net.partner)
    return ", ".join(seconds)
