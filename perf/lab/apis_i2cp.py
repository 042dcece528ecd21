"""I2CP side by side: what sessions of Java's own library cost at Ramson, i2pd and Java I2P, and what they carry, over the same relays.

    1..6   relays   Ramson, the hops of all tunnels      10, 11 ramson   12, 13 i2pd   14, 15 java   whose I2CP is asked

Each kind carries the load from a session at its first router to one at its second, through tunnels of two hops each way: within one
router Java's hands over without tunnels. The programs are one for all, `java/JavaLoad.java`, and pay for their own streams.
"""

import os
import re
import statistics
import subprocess
import threading
import time

from . import i2cp
from .leaves import EndI2pd, EndJava, EndRamson, WideRamson
from .java import I2CP as JAVA_PORT
from .java import class_path
from .network import Network
from .outcome import eventually

_SETUPS = 5
HOLD = 120  # seconds in which many sessions are to stand
_PATIENCE = 120
_OPTIONS = "inbound.length=2,outbound.length=2,inbound.quantity=2,outbound.quantity=2"
_SMALL = "inbound.length=1,outbound.length=1,inbound.quantity=1,outbound.quantity=1"
# INTEROP: an i2pd draws the length of a tunnel from around what is asked for, unless it is told not to.
_EXACT = "inbound.lengthVariance=0,outbound.lengthVariance=0"


class I2cpNetwork(Network):
    """See the module."""

    def __init__(self, lab, kinds, name="apis-i2cp", relay=WideRamson):
        self.name = name
        super().__init__(lab)
        self.relays = [self.add(relay(self, n, floodfill=n <= 3)) for n in range(1, 7)]
        makes = {"ramson": (EndRamson, 10), "i2pd": (EndI2pd, 12), "java": (EndJava, 14)}
        self.asked = {}
        for kind in kinds:
            make, n = makes[kind]
            self.asked[kind] = [self.add(make(self, n)), self.add(make(self, n + 1))]
            for router in self.asked[kind]:
                router.i2cp_port, router.i2cp = i2cp.PORT, True


class _Load:
    """The program at a router; what it prints is read as it comes."""

    def __init__(self, router, *words, options=_OPTIONS):
        port = JAVA_PORT if router.kind == "java" else i2cp.PORT
        java = ["java", "-Xmx1g", "-Xss256k", "-XX:+UseSerialGC", "-cp", class_path(router.lab), "JavaLoad"]
        command = [*java, router.ip, str(port), f"{options},{_EXACT}", *map(str, words)]
        # Where it is started it writes logs.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "cwd": router.dir}
        self._process = subprocess.Popen(command, text=True, errors="replace", **pipes)
        self.lines = []  # (when, line)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append((time.monotonic(), line.rstrip()))

    def all(self, beginning):
        """What follows on lines that begin so, each with when it came."""
        return [(at, line[len(beginning) :].strip()) for at, line in list(self.lines) if line.startswith(beginning)]

    def first(self, beginning, limit=_PATIENCE):
        """What follows on the first line that begins so."""
        eventually(limit, lambda: self.all(beginning) or self._process.poll() is not None, 0.2)
        found = self.all(beginning)
        if not found:
            raise ValueError(" | ".join(line for _, line in self.lines[-3:])[-200:] or "the program says nothing")
        return found[0][1]

    def wait(self, limit):
        """Waits for its end."""
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            self.stop()

    def stop(self):
        """Ends it."""
        self._process.kill()
        self._process.wait()


def setup(routers, _):
    """Seconds until a session stands, the middle of five."""
    load = _Load(routers[0], "setup", _SETUPS + 1)
    load.wait(_PATIENCE)
    times = [float(seconds) for _, seconds in load.all("ready ")][1:]
    if not times:
        raise ValueError(load.lines[-1][1] if load.lines else "no session")
    return f"{statistics.median(times):.1f}" + (f" (of {len(times)})" if len(times) < _SETUPS else "")


def _carry(routers, seconds, mode, *words):
    """What comes of a load in its time: bytes and datagrams, how many were sent, and CPU seconds of both routers."""
    drain = _Load(routers[1], "drain")
    try:
        source = _Load(routers[0], mode, drain.first("destination "), *words, seconds)
        try:
            source.first("begun")
            time.sleep(1)  # until the last line from before has come
            before, cpu = _received(drain), sum(router.usage().cpu for router in routers)
            time.sleep(seconds - 1)
            after, spent = _received(drain), sum(router.usage().cpu for router in routers) - cpu
            source.wait(60)
            sent = source.all("sent ")
        finally:
            source.stop()
    finally:
        drain.stop()
    took = after[0] - before[0]
    return (after[1] - before[1]) / took, (after[2] - before[2]) / took, int(sent[0][1]) if sent else 0, spent / took


def _received(drain):
    at, words = drain.all("received ")[-1]
    return at, *map(int, words.split())


def _streams(routers, count, seconds):
    rate, _, _, cpu = _carry(routers, seconds, "pour", count)
    cost = cpu / rate * 1e9 if rate else 0
    return f"{rate / 1e6:.2f} MB/s, {cost:.0f} CPU-s/GB"


def one_stream(routers, options):
    """One stream."""
    return _streams(routers, 1, options.seconds)


def many_streams(routers, options):
    """Twenty streams between two sessions."""
    return _streams(routers, 20, options.seconds)


def datagrams(routers, options):
    """Datagrams of 1 kB a second that arrive, of as many as can be sent."""
    _, rate, sent, _ = _carry(routers, options.seconds, "rain")
    return f"{rate:.0f} of {sent / options.seconds:.0f}"


def memory(routers, options):
    """KiB for each of many sessions with one tunnel of one hop each way, how many stood, and until when."""
    before = routers[0].usage().rss
    load = _Load(routers[0], "hold", options.sessions, HOLD, options=_SMALL)
    try:
        held, seconds = load.first("held ", 2 * HOLD).split()
        each = (routers[0].usage().rss - before) / max(int(held), 1) / 1024
    finally:
        load.stop()
    why = re.sub(r"\s+", " ", load.all("failed: ")[0][1])[:60] if load.all("failed: ") else ""
    return f"{each:.0f} KiB, {held} in {float(seconds):.0f} s" + (f" ({why})" if why else "")


ROWS = (setup, one_stream, many_streams, datagrams)
MANY = (memory,)
