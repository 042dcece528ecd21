"""A stream each way between Ramson and i2pd lives for an hour, in which all tunnels are built anew again and again: no byte is lost."""

import hashlib
import socket
import threading
import time

from ..flows import Source, first_byte_patiently
from ..i2pd import I2pd
from ..network import Network
from ..outcome import Failed
from ..subject import subject

NEEDS_RAMSON = True
SLOW = True  # a tunnel lives for ten minutes, and nothing that is shorter says anything
_PORT = 4600
_SECONDS = 3600
_RATE = 500_000  # bytes a second: the machine is to have time for others
_SILENCE = 60  # seconds without a byte after which a stream is lost


class NETWORK(Network):
    """Ramson and an i2pd with destinations, and enough i2pd between them for tunnels of two hops."""

    name = "streams-long"

    def __init__(self, lab):
        super().__init__(lab)
        self.partner = self.add(I2pd(self, 1))
        self.hops = [self.add(I2pd(self, n, floodfill=n < 5)) for n in range(2, 9)]
        self.subject = self.add(subject(self, 10))
        self.source = Source(8098, _RATE)
        self.subject.serve("source", self.source)
        self.partner.serve("source", self.source, kind="server")

    def configure(self):
        self.subject.reach("to-i2pd", _PORT, self.partner.name_of("source"))
        self.partner.reach("to-ramson", _PORT, self.subject.name_of("source"))

    def stop(self):
        super().stop()
        self.source.close()


class _Download:
    """What comes by one stream, for so long."""

    def __init__(self, name, place, source, seconds):
        self.name, self.received, self.trouble = name, 0, ""
        self._place, self._source, self._seconds = place, source, seconds
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        came, begin = hashlib.sha256(), time.monotonic()
        try:
            with socket.create_connection(self._place, timeout=_SILENCE) as connection:
                connection.sendall(b"go")
                while time.monotonic() < begin + self._seconds:
                    chunk = connection.recv(1 << 16)
                    if not chunk:
                        self.trouble = "it ended"
                        break
                    came.update(chunk)
                    self.received += len(chunk)
        except OSError as e:
            self.trouble = str(e)
        if came.hexdigest() != self._source.sha256(self.received):
            self.trouble = f"other bytes: {self.trouble}"

    def end(self):
        """Waits for it."""
        self._thread.join()
        return self


def run(net):
    seconds = net.lab.seconds or _SECONDS
    ends = {"from i2pd": net.subject, "to i2pd": net.partner}
    for name, end in ends.items():
        if first_byte_patiently((end.ip, _PORT), 180) is None:
            raise Failed(f"{name}: no byte came", net.subject, net.partner)
    downloads = [_Download(name, (end.ip, _PORT), net.source, seconds) for name, end in ends.items()]
    facts = []
    for one in [download.end() for download in downloads]:
        if one.trouble:
            raise Failed(f"{one.name}, after {one.received} bytes: {one.trouble}", net.subject, net.partner)
        facts.append(f"{one.name}: {one.received / 1e6:.0f} MB in one stream")
    return f"{seconds} s; {'; '.join(facts)}"
