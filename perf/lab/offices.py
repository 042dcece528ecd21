"""A network in which Ramson and an i2pd each offer all programs of `servers.py`, and news, at the ports of one destination, and each reach the other's."""

import os

from .i2pd import I2pd
from .network import Network
from .news import News, installed
from .servers import Programs
from .subject import subject

PROXY, SOCKS = 4601, 4602
_CLIENTS = 4700  # and so many more as the port has there
DNS = 4650  # and so many more as the kind of datagrams has
DATAGRAMS = (1, 2, 3)
_KINDS = {80: ("http-server", "http")}  # at Ramson, and at i2pd; all else is a plain server


class Offices(Network):
    """Hosts: the i2pd at 1, Ramson at 10, hops between."""

    name = "offices"

    def __init__(self, lab):
        super().__init__(lab)
        self.partner = self.add(I2pd(self, 1))
        self.hops = [self.add(I2pd(self, n, floodfill=n < 5)) for n in range(2, 8)]
        self.subject = self.add(subject(self, 10))
        self.programs = Programs(os.path.join(self.dir, "programs"))
        self._by_port = self.programs.by_port()
        if installed():
            self._by_port[119] = News(os.path.join(self.dir, "news"), 1119)
        self.subject.proxy_port, self.subject.socks_port = PROXY, SOCKS
        # One tunnel, so that there are keys, which all share afterwards.
        self.subject.serve("office", self.programs.nginx)
        for port, program in self._by_port.items():
            self.partner.serve(f"at-{port}", program, kind=_KINDS.get(port, ("server",) * 2)[1], keys="office.dat", inport=port)

    def office(self, router):
        """The name of a router's destination with the programs."""
        return router.name_of("office")

    def configure(self):
        self.subject.forget("office")
        keys = os.path.join(self.subject.dir, "data", "destinations", "office.dat")
        for port, program in self._by_port.items():
            kind = _KINDS.get(port, ("server",) * 2)[0]
            self.subject.serve(f"at-{port}", program, kind=kind, port=port, keys=keys)
        for port in self._by_port:
            name, there = f"to-{port}", self.office(self.partner)
            self.subject.reach(name, _CLIENTS + port, there, to_port=port, keys="transient-clients")
            self.partner.reach(name, _CLIENTS + port, self.office(self.subject), keys="transient-clients", destinationport=port)
        self._configure_datagrams(keys)
        self.partner.proxy("proxy", PROXY, inbound=2, outbound=2)
        self.partner.reach("socks", SOCKS, "", kind="socks", keys="transient-clients")

    def _configure_datagrams(self, keys):
        """DNS by UDP, with each kind of datagrams that a client can choose; i2pd answers as it is asked."""
        dns = self.programs.dns
        self.subject.serve("dns", dns, kind="udp-server", port=53, keys=keys)
        # It sends from 127.0.0.1 unless it is told another address.
        self.partner.serve("dns", dns, kind="udpserver", keys="office.dat", inport=53, address=self.partner.ip)
        for kind in DATAGRAMS:
            name, port = f"dns-{kind}", DNS + kind
            there = self.office(self.partner)
            self.subject.reach(name, port, there, kind="udp-client", to_port=53, keys="transient-clients", datagrams=kind)
            there = self.office(self.subject)
            options = {"destinationport": 53, "datagramversion": kind, "keys": f"transient-dns-{kind}"}
            self.partner.reach(name, port, there, kind="udpclient", **options)

    def ways(self):
        """Who reaches whose programs: a word for it, by which router, and the other's name."""
        return (
            ("at i2pd by Ramson", self.subject, self.office(self.partner)),
            ("at Ramson by i2pd", self.partner, self.office(self.subject)),
        )

    @staticmethod
    def place(router, port):
        """Where a router's client tunnel to a port listens."""
        return router.ip, _CLIENTS + port

    def stop(self):
        super().stop()
        self.programs.stop()
        if news := self._by_port.get(119):
            news.stop()
