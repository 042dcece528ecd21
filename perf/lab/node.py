"""A running node, seen from outside by its process id: its threads, their processor time, its metrics."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass

from .metrics import Metrics

DEFAULT_EXPORTER = "127.0.0.1:9656"
DATA_PLANE = re.compile(r"^io-\d+$")  # names of the threads that carry cells


@dataclass(frozen=True)
class Thread:
    """What the kernel counts of a thread."""

    name: str
    cpu: float  # seconds on a processor
    waited: float  # seconds ready to run, without a processor
    voluntary: int  # times that it slept
    involuntary: int  # times that it was taken off the processor


class Node:
    """Process `pid`. `metrics` is the address of its exporter; without one it is read in the configuration file."""

    def __init__(self, pid, metrics=None):
        self.pid = pid
        if not os.path.isdir(f"/proc/{pid}"):
            sys.exit(f"there is no process {pid}")
        if os.readlink(f"/proc/{pid}/exe").endswith(" (deleted)"):
            print("note: the binary was replaced since the start, and functions may have no names: restart it", file=sys.stderr)
        self.exporter = metrics or self._configured() or DEFAULT_EXPORTER

    def _configured(self):
        arguments = _read(f"/proc/{self.pid}/cmdline").split("\0")
        for before, argument in zip(arguments, arguments[1:]):
            if before == "--config":
                path = os.path.join(os.readlink(f"/proc/{self.pid}/cwd"), argument)
                found = re.search(r'^\[metrics\][^\[]*?^listen\s*=\s*"([^"]+)"', _read(path), re.M | re.S)
                return found and found[1]
        return None

    def metrics(self):
        """A scrape."""
        try:
            with urllib.request.urlopen(f"http://{self.exporter}/metrics", timeout=5) as page:
                return Metrics(page.read().decode())
        except OSError as error:
            sys.exit(f"no metrics at {self.exporter} ({error}): name the address with --metrics")

    def threads(self):
        """All by their id."""
        found = {}
        for task in os.listdir(f"/proc/{self.pid}/task"):
            folder = f"/proc/{self.pid}/task/{task}"
            try:
                run, wait, _ = map(int, _read(f"{folder}/schedstat").split())
                status = dict(line.split(":\t", 1) for line in _read(f"{folder}/status").splitlines() if ":\t" in line)
            except OSError:
                continue
            switches = int(status["voluntary_ctxt_switches"]), int(status["nonvoluntary_ctxt_switches"])
            found[int(task)] = Thread(status["Name"], run / 1e9, wait / 1e9, *switches)
        return found

    def cpu(self):
        """Seconds of processor time of the threads that live."""
        return sum(thread.cpu for thread in self.threads().values())


def need_perf():
    """Ends with a word on what to install."""
    if not shutil.which("perf"):
        sys.exit("perf is missing: apt-get install linux-perf (or linux-tools)")


def perf(*arguments):
    """Runs perf and returns its standard output; what it says is shown if it fails."""
    done = subprocess.run(["perf", *map(str, arguments)], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        sys.exit(f"perf {shlex.join(map(str, arguments))}:\n{done.stderr.strip()}")
    return done.stdout


def samples(text):
    """Reads `perf script -F comm,tid,...,ip,sym,dso`: yields (head, [(symbol, dso), ...]) with the leaf first."""
    head, chain = None, []
    for line in text.splitlines():
        if not line.strip():
            if head is not None:
                yield head, chain
            head, chain = None, []
        elif head is None:
            head = line
        else:
            found = re.match(r"\s*[0-9a-f]+ (.*?)(?:\+0x[0-9a-f]+)? \(([^()]*(?:\(deleted\))?)\)$", line)
            chain.append((found[1], found[2]) if found else (line.strip(), ""))
    if head is not None:
        yield head, chain


def _read(path):
    with open(path, errors="replace") as f:
        return f.read()
