"""Tahoe-LAFS, each node beside the router whose SAM it uses: storage that others serve and nobody of them can read."""

import os
import subprocess
import sys
import urllib.error
import urllib.request

from . import programs
from .outcome import Failed, Skipped, eventually

_SAM = "tcp:127.0.0.1:7656"
_LIMIT = 300  # seconds for a node to be made, or to be found by all: each takes a session with tunnels


def _environment():
    place = os.path.join(programs.folder(), "tahoe")
    if not os.path.isdir(place):
        raise Skipped("no tahoe: run perf/programs-fetch")
    return {**os.environ, "PYTHONPATH": place, "PYTHONWARNINGS": "ignore"}


class Node:
    """An introducer (`kind` is that word), or a node that stores what others give it and has an HTTP interface at `port`."""

    def __init__(self, router, folder, kind="node", port=None, introducer=None):
        self.router, self.folder, self.port = router, folder, port
        self._log = f"{folder}.log"
        words = ["--hide-ip", "--listen=i2p", f"--i2p-sam-port={_SAM}", f"--basedir={folder}"]
        if kind == "node":
            words += [f"--introducer={introducer}", "--shares-needed=3", "--shares-happy=4", "--shares-total=5"]
            words += [f"--webport=tcp:{port}:interface={router.ip}"]
        # Its destination is made at once, by SAM.
        made = self._start(f"create-{kind}", *words)
        try:
            if made.wait(_LIMIT):
                raise Failed(f"tahoe create-{kind} at {router}: {self.said()}", router)
        except subprocess.TimeoutExpired as e:
            made.kill()
            raise Failed(f"tahoe create-{kind} at {router} does not end: {self.said()}", router) from e
        self._process = self._start("run", f"--basedir={folder}", "--allow-stdin-close")

    def _start(self, *words):
        with open(self._log, "ab") as log:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            return self.router.spawn([sys.executable, "-m", "allmydata", *words], env=_environment(), **pipes)

    def said(self):
        """The end of what it has printed."""
        with open(self._log, errors="replace") as f:
            return " | ".join(f.read().splitlines()[-4:])[-400:]

    def furl(self):
        """Where an introducer is found."""
        path = os.path.join(self.folder, "private", "introducer.furl")
        if not eventually(_LIMIT, lambda: os.path.exists(path) or self._process.poll() is not None, 0.5) or not os.path.exists(path):
            raise Failed(f"no introducer at {self.router}: {self.said()}", self.router)
        with open(path) as f:
            return f.read().strip()

    def _ask(self, path, data=None, limit=120):
        request = urllib.request.Request(f"http://{self.router.ip}:{self.port}/{path}", data=data, method="PUT" if data else "GET")
        try:
            with urllib.request.urlopen(request, timeout=limit) as answer:
                return answer.read()
        except urllib.error.HTTPError as e:
            return Failed(e.read().decode("utf-8", "replace")[:200])
        except OSError as e:
            return Failed(str(e))

    def put(self, data, limit):
        """Stores bytes as soon as there are enough nodes; returns the words with which they are fetched."""
        return self._until(limit, lambda: self._ask("uri", data))

    def get(self, words, limit):
        """Fetches bytes."""
        return self._until(limit, lambda: self._ask(f"uri/{words.decode()}"))

    def _until(self, limit, attempt):
        last = []

        def answered():
            last[:] = [attempt()]
            return not isinstance(last[0], Failed)

        if not eventually(limit, answered, 5):
            raise Failed(f"tahoe at {self.router}: {last[0]}; {self.said()}", self.router)
        return last[0]

    def stop(self):
        """Ends it."""
        self._process.kill()
        self._process.wait()
