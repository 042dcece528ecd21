"""All attacks at once for minutes: honest downloads, builds and handshakes go on, memory and the line keep their bounds."""

import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from statistics import mean

from ..download import Broken, Proxy
from ..outcome import Failed, Skipped
from ..relay import MixedRelayNetwork as NETWORK
from . import hostile

NEEDS_RAMSON = True
_SECONDS, _QUICK_SECONDS = 300, 60
_CALM = 30  # seconds without an attack, to compare with
_BESIEGERS, _QUICK_BESIEGERS = 8, 4  # modes at once; the laboratory has few processors, and the honest share them
_SHARE = 0.95  # of what it is without the attack
_LINE = 1.03
_MEMORY = 256 << 20
_FILE = 300_000
_FIRST_HOST = 100
_HONEST = "honest-caller"


def run(net):
    tool, router = net.lab.hostile, net.subject
    if not tool:
        raise Skipped("no ramson-hostile is built")
    modes = subprocess.run([tool, "--list"], capture_output=True, text=True, check=True).stdout.split()
    modes.remove(_HONEST)
    net.warm("participant", net.PLAIN, router)
    calm = _Watch(net)
    time.sleep(_CALM)
    calm.end()
    shares = _build_shares(net)
    seconds = net.lab.seconds or (_QUICK_SECONDS if net.lab.quick else _SECONDS)
    siege = _Watch(net)
    runs = _besiege(net, modes, seconds)
    siege.end()
    return _judge(net, calm, siege, (shares, _build_shares(net)), runs)


class _Watch:
    """Honest users, one download and one handshake after the other, and what the router takes meanwhile."""

    def __init__(self, net):
        self.whole = self.broken = self.met = self.missed = 0
        self.words = []
        self.rss, self.began, self._end, self._net = 0, time.monotonic(), threading.Event(), net
        self.before = net.subject.metrics()
        self._threads = [threading.Thread(target=task, daemon=True) for task in (self._load, self._call, self._sample)]
        for thread in self._threads:
            thread.start()

    def end(self):
        self._end.set()
        for thread in self._threads:
            thread.join(90)
        self.seconds, self.after = time.monotonic() - self.began, self._net.subject.metrics()

    def _load(self):
        net = self._net
        proxy, host, file = Proxy(net.client.ip, net.PLAIN), net.server.name_of("participant"), net.web.file(_FILE)
        while not self._end.is_set():
            try:
                proxy.fetch(host, file, limit=60)
                self.whole += 1
            except Broken:
                self.broken += 1
            self._end.wait(0.5)

    def _call(self):
        while not self._end.is_set():
            complaint = hostile.offend(self._net.subject, self._net.lab.hostile, _HONEST, _FIRST_HOST - 1)
            self.met += not complaint
            self.missed += bool(complaint)
            if complaint:
                self.words.append(complaint)
            self._end.wait(2)

    def _sample(self):
        while not self._end.is_set() and not self._net.subject.died():
            self.rss = max(self.rss, self._net.subject.usage().rss)
            self._end.wait(0.5)

    def share(self):
        return self.whole / max(1, self.whole + self.broken)

    def rate(self):
        """Bytes a second that left the router."""
        sent = lambda metrics: metrics.total("ramson_bytes_total", direction="out")
        return (sent(self.after) - sent(self.before)) / self.seconds


def _besiege(net, modes, seconds):
    """Runs all modes again and again, several at once; how often each was run, by what it complained of."""
    end, turn, lock, runs = time.monotonic() + seconds, cycle(enumerate(modes)), threading.Lock(), {}

    def besieger(_):
        while time.monotonic() < end:
            with lock:
                n, mode = next(turn)
                busy = runs.setdefault(mode, {"now": False, "ended": 0, "complaints": []})
                if busy["now"]:
                    continue
                busy["now"] = True
            # What it counts goes up by the others, too, and its own good peers have a hard time: only the end counts here.
            complaint = hostile.offend(net.subject, net.lab.hostile, mode, _FIRST_HOST + n)
            busy["now"] = False
            busy["ended"] += 1
            busy["complaints"] += [complaint] if complaint else []

    with ThreadPoolExecutor(_QUICK_BESIEGERS if net.lab.quick else _BESIEGERS) as pool:
        list(pool.map(besieger, range(_QUICK_BESIEGERS if net.lab.quick else _BESIEGERS)))
    return runs


def _build_shares(net):
    """How well the honest routers' own builds went of late, those through the router under test among them."""
    return mean(peer.build_share() for peer in net.i2pds())


def _judge(net, calm, siege, shares, runs):
    router, limit = net.subject, siege.after.total("ramson_line_limit_bytes_per_second", direction="out")
    own = {result: count - calm.before.by("ramson_own_builds_total", "result").get(result, 0) for result, count in router.builds().items()}
    complaints = []
    if siege.share() < _SHARE * calm.share():
        complaints.append("downloads")
    if shares[1] < _SHARE * shares[0]:
        complaints.append("builds of the honest")
    if sum(own.values()) >= 20 and own.get("ok", 0) < _SHARE * sum(own.values()):
        complaints.append("own builds")
    if siege.met < _SHARE * (siege.met + siege.missed):
        complaints.append(f"handshakes ({siege.words[-1]})")
    if siege.rss - calm.rss > _MEMORY:
        complaints.append("memory")
    if siege.rate() > _LINE * limit:
        complaints.append("the line")
    never = [mode for mode, run in runs.items() if not run["ended"]]
    if never:
        complaints.append(f"never ended: {', '.join(never)}")
    facts = (
        f"{sum(run['ended'] for run in runs.values())} attacks of {len(runs)} modes in {siege.seconds:.0f} s; downloads {siege.whole} whole, "
        f"{siege.broken} broken ({calm.whole} and {calm.broken} before), honest builds {shares[0]:.0%} to {shares[1]:.0%}, own {own}, "
        f"handshakes {siege.met} in time, {siege.missed} not, RSS {calm.rss / 1e6:.0f} to {siege.rss / 1e6:.0f} MB, "
        f"{siege.rate() / 1e6:.1f} of {limit / 1e6:.1f} MB/s"
    )
    if complaints:
        raise Failed(f"{', '.join(complaints)}: {facts}", router)
    return facts
