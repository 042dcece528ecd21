"""A NAT that rebinds its ports in the middle of a download."""

import time

from .download import Broken, Proxy
from .outcome import Failed

_FILE = 50_000_000
_FIRST, _EVERY = 2, 8  # seconds from the beginning of the download, and from one rebinding to the next


def rebind(net, port, watched):
    """Downloads by the proxy on `port` of the caller while the NAT of the hidden rebinds. No session of `watched` may end;
    what was seen."""
    try:
        Proxy(net.caller.ip, port).fetch_patiently(net.page, net.web.file(2_000_000), 120)
    except Broken as e:
        raise Failed(f"nothing to break: {e}", watched, net.hidden, net.caller) from e
    for router in (net.caller, net.second):
        router.hear_calls()  # what comes from another port seems to begin something
    before = _ended(watched)
    progress = _Progress(net.hidden.nat)
    try:
        transfer = Proxy(net.caller.ip, port, progress.on_bytes).fetch(net.page, net.web.file(_FILE), 180)
    except Broken as e:
        raise Failed(f"no download: {e}, after {progress.rebound} rebindings", watched, net.hidden, net.caller) from e
    ended = _ended(watched) - before
    if ended:
        raise Failed(f"sessions have ended: {dict(ended)}", watched, net.hidden, net.caller)
    return f"{transfer.rate:.1f} MB/s over {progress.rebound} rebindings, the longest silence {progress.silence:.1f} s"


class _Progress:
    """Rebinds the NAT as a download goes on, and measures how long nothing arrives."""

    def __init__(self, nat):
        self._nat, self._last, self._next = nat, None, time.monotonic() + _FIRST
        self.rebound, self.silence = 0, 0.0

    def on_bytes(self, _):
        now = time.monotonic()
        if self._last:
            self.silence = max(self.silence, now - self._last)
        if now >= self._next:
            self._next = now + _EVERY
            self._nat.rebind()
            self.rebound += 1
        self._last = now


def _ended(router):
    return router.metrics().by("ramson_sessions_closed_total", "reason")


def moves(router):
    """How often peers of a Ramson moved, by its sessions that stand."""
    return int(router.metrics().total("ramson_ssu2_session_events_total", event="moved"))
