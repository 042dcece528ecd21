"""A clock that is an hour wrong, either way: Ramson finds the right time, joins, is known to others, and forgets nobody."""

import os

from ..outcome import Failed, Skipped, eventually
from ..relay import RelayNetwork as NETWORK
from ..subject import subject

NEEDS_RAMSON = True
_LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
_HOUR = 3600
_PATIENCE = 90
_FIRST_HOST = 70


def run(net):
    if not os.path.exists(_LIBRARY):
        raise Skipped("it takes libfaketime: apt-get install libfaketime")
    net.free_calls()
    return "; ".join(_joins(net, _FIRST_HOST + n, ahead) for n, ahead in enumerate((_HOUR, -_HOUR)))


def _joins(net, host, ahead):
    router = subject(net, host)
    try:
        for other in net.routers():
            router.learn(other)
        router.environment = {"LD_PRELOAD": _LIBRARY, "FAKETIME": f"{ahead:+}", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}
        begin = net.uptime()
        router.start()
        _until(router, "has built tunnels", lambda: router.builds()["ok"] >= 2 * router.exploratory)
        joined = net.uptime() - begin
        _until(router, "has the right time", lambda: abs(router.metrics().total("ramson_clock_correction_seconds") + ahead) < 5)
        _until(router, "is known to a floodfill", lambda: router.metrics().total("ramson_netdb_publishes_total", outcome="confirmed"))
        known = lambda: router.metrics().total("ramson_netdb_entries", kind="router_info")
        _until(router, f"knows all {len(net.routers())} routers after its clock was corrected", lambda: known() >= len(net.routers()))
        return f"{ahead:+} s: tunnels after {joined:.0f} s, {known():.0f} routers known"
    finally:
        router.kill()
        router.remove()


def _until(router, what, done):
    if not eventually(_PATIENCE, done):
        raise Failed(f"not within {_PATIENCE} s: it {what}; builds {dict(router.builds())}", router)
