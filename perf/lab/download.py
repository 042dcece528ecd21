"""Downloads through a router's HTTP proxy, timed and compared with what the server has."""

import hashlib
import http.client
import threading
import time
import urllib.request
from dataclasses import dataclass


class Broken(Exception):
    """It did not arrive, or not whole: tunnels may do that, a repetition may help."""


class Corrupt(Exception):
    """It arrived with other bytes: no repetition excuses that."""


@dataclass(frozen=True)
class Transfer:
    """A download that arrived intact."""

    size: int
    seconds: float

    @property
    def rate(self):
        """MB/s."""
        return self.size / self.seconds / 1e6


class Proxy:
    """An HTTP proxy of a router. `on_bytes` is told how much arrived, as it arrives."""

    def __init__(self, ip, port, on_bytes=lambda count: None):
        handler = urllib.request.ProxyHandler({"http": f"http://{ip}:{port}"})
        self._opener = urllib.request.build_opener(handler)
        self._on_bytes = on_bytes

    def tell(self, on_bytes):
        """Tells somebody else from now on."""
        self._on_bytes = on_bytes

    def fetch(self, host, file, limit=120, stall=40):
        """Downloads `file` from `host` within `limit` seconds; raises `Broken` or `Corrupt`."""
        begin, size, digest = time.monotonic(), 0, hashlib.sha256()
        try:
            with self._opener.open(f"http://{host}/{file.path}", timeout=stall) as answer:
                while chunk := answer.read1(1 << 16):
                    size += len(chunk)
                    digest.update(chunk)
                    self._on_bytes(len(chunk))
                    if time.monotonic() - begin > limit:
                        raise Broken(f"{size} of {file.size} bytes in {limit} s")
        except (OSError, http.client.HTTPException) as e:
            raise Broken(f"{e} after {size} of {file.size} bytes") from e
        if size < file.size:
            raise Broken(f"ended after {size} of {file.size} bytes")
        if digest.hexdigest() != file.sha256:
            raise Corrupt(f"{size} bytes arrived for {file.size}, with another SHA-256")
        return Transfer(size, time.monotonic() - begin)

    def fetch_patiently(self, host, file, limit, pause=2):
        """Tries until it works: the way to wait for tunnels and LeaseSets. Raises the last `Broken` after `limit` seconds."""
        end = time.monotonic() + limit
        while True:
            try:
                return self.fetch(host, file, limit=limit, stall=15)
            except Broken:
                if time.monotonic() > end:
                    raise
                time.sleep(pause)


class Direct(Proxy):
    """The way to one server by a plain TCP tunnel."""

    def __init__(self, ip, port, on_bytes=lambda count: None):
        super().__init__(ip, port, on_bytes)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._place = f"{ip}:{port}"

    def fetch(self, host, file, limit=120, stall=40):
        """As a proxy does; `host` is where the tunnel leads, whatever is named."""
        return super().fetch(self._place, file, limit, stall)


class Stream:
    """Downloads one file again and again in the background, and counts what arrives."""

    def __init__(self, ip, port, host, file, pause=0.0):
        self.bytes = self.whole = self.broken = 0
        self.corrupt = None
        self._proxy, self._host, self._file, self._pause = Proxy(ip, port, self._count), host, file, pause
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _count(self, count):
        self.bytes += count

    def _run(self):
        while not self._end.is_set():
            try:
                self._proxy.fetch(self._host, self._file, limit=600)
                self.whole += 1
            except Broken:
                self.broken += 1
                self._end.wait(1)
            except Corrupt as e:
                self.corrupt = e
                return
            self._end.wait(self._pause)

    def moves(self, limit):
        """Whether at least 64 KiB more arrive within `limit` seconds."""
        begin, end = self.bytes, time.monotonic() + limit
        while time.monotonic() < end:
            if self.bytes - begin >= 1 << 16:
                return True
            time.sleep(0.2)
        return False

    def stop(self):
        """Lets the transfer in progress be."""
        self._end.set()
