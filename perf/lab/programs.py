"""Programs that others wrote, each beside the router whose SAM it uses: they know of no other address than 127.0.0.1."""

import os
import subprocess
import sys
import threading
import time

from .outcome import Failed, Skipped

_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


def folder():
    """Where `programs-fetch` has put them."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("RAMSON_PROGRAMS") or os.path.join(cache, "ramson-programs")


# How each is started; the folder of the first argument must be there.
_COMMANDS = {
    "bitcoin": (None, [sys.executable, f"{_HERE}/bitcoin.py"]),
    "i2plib": ("i2plib", [sys.executable, f"{_HERE}/python_i2plib.py"]),
    "leaflet": ("leaflet", [sys.executable, f"{_HERE}/python_leaflet.py"]),
    "txi2p": ("txi2p", [sys.executable, f"{_HERE}/python_txi2p.py"]),
    "i2p-sam": ("diva", ["node", "{}/diva.mjs"]),
    "yosemite": ("yosemite", ["{}/with-yosemite"]),
    "sam3": ("sam3", ["{}/with-sam3"]),
    "libtorrent": ("libtorrent", [sys.executable, f"{_HERE}/torrent.py"]),
}
ECHOES = [name for name in _COMMANDS if name != "libtorrent"]


class Program:
    """One that runs beside a router."""

    def __init__(self, router, name, *arguments):
        place, command = _COMMANDS[name]
        place = place and os.path.join(folder(), place)
        if place and not os.path.isdir(place):
            raise Skipped(f"no {name}: run perf/programs-fetch")
        self.name, self.router, self.lines = name, router, []
        command = [word.format(place) for word in command]
        environment = {**os.environ, "PYTHONPATH": place or ""}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = router.spawn([*command, *arguments], text=True, errors="replace", env=environment, **pipes)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, beginning, limit):
        """What follows on the first line that begins so."""
        end = time.monotonic() + limit
        while True:
            ended = self._process.poll() is not None
            if ended:
                self._reader.join(5)
            for line in list(self.lines):
                if line.startswith(beginning):
                    return line[len(beginning) :].strip()
            if ended or time.monotonic() > end:
                state = "ended" if ended else "says nothing more"
                last = " | ".join(line.strip() for line in self.lines[-12:])[-900:]
                raise Failed(f"{self.name} at {self.router} {state} instead of {beginning!r}: {last}", self.router)
            time.sleep(0.2)

    def stop(self):
        """Ends it."""
        self._process.kill()
        self._process.wait()


def both_ways(net, name, size, limit):
    """A program at each of the two routers takes a stream of the same program at the other, and echoes it."""
    for taker_at, caller_at in ((net.subject, net.partner), (net.partner, net.subject)):
        taker = Program(taker_at, name, "take")
        try:
            destination = taker.wait_for("DESTINATION", limit)
            _call(taker, caller_at, name, destination, size, limit)
        finally:
            taker.stop()


def _call(taker, router, name, destination, size, limit):
    """LeaseSets take a while to be found: it calls again until it works."""
    end = time.monotonic() + limit
    while True:
        caller = Program(router, name, "call", destination, str(size))
        try:
            caller.wait_for("ok", limit)
            return
        except Failed as e:
            if time.monotonic() > end:
                raise Failed(f"{e}; the taker says {' | '.join(taker.lines[-3:])[-300:]}", router, taker.router) from e
            time.sleep(2)
        finally:
            caller.stop()
