"""Routers at the ends of a network that is measured: they carry nothing for others."""

from .i2pd import I2pd
from .java import JavaRouter
from .ramson import Ramson


class WideRamson(Ramson):
    """One whose limits no load reaches."""

    def _configuration(self):
        return super()._configuration().replace("25MB/s", "500MB/s")


class EndRamson(WideRamson):
    """One that carries nothing for others."""

    def _configuration(self):
        return super()._configuration().replace("max_tunnels = 2000", "max_tunnels = 0")


class EndI2pd(I2pd):
    """One that carries nothing for others."""

    def _configuration(self):
        return "notransit = true\n" + super()._configuration()

    def serve(self, name, web, length=2, quantity=2):
        self._tunnel(name, length, length, quantity, type="server", host=web.ip, port=web.port)

    def reach(self, name, port, destination, length=2, quantity=2):
        """A client tunnel on `port`."""
        options = {"type": "client", "address": self.ip, "port": port, "destination": destination}
        self._tunnel(name, length, length, quantity, **options)


class EndJava(JavaRouter):
    """One that carries nothing for others."""

    def _configuration(self):
        return {**super()._configuration(), "router.maxParticipatingTunnels": 0}
