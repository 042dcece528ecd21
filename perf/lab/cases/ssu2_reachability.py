"""Peer tests by i2pd and Java find Ramson reachable, and Ramson takes part in theirs."""

from ..outcome import Failed, eventually
from ..relay import Ssu2RelayNetwork as NETWORK

NEEDS_RAMSON = True


def run(net):
    router = net.subject
    found = lambda: router.metrics().total("ramson_reachability", family="ipv4", status="ok") == 1
    if not eventually(180, found, 2):
        raise Failed(f"after {net.uptime():.0f} s it is not found reachable: {_events(net.subjects())}", router, net.java)
    # Peers test themselves at their start and then every hour or so, by whom they choose: one of ours is among them.
    helped = lambda: sum(_events(net.subjects(), role).get(event, 0) for role, event in (("bob", "relayed"), ("charlie", "tested")))
    eventually(30, helped, 2)
    return f"found reachable after {net.uptime():.0f} s at most; {_events(net.subjects())}"


def _events(routers, role=None):
    events = {}
    for router in routers:
        for sample in router.metrics().like("^ramson_ssu2_services_total$"):
            labels, count = sample.split("{")[1].rsplit("} ", 1)
            values = dict(part.split("=") for part in labels.replace('"', "").split(","))
            if values["service"] == "peer_test" and role in (None, values["role"]):
                name = values["event"] if role else f"{values['role']}/{values['event']}"
                events[name] = events.get(name, 0) + int(float(count))
    return events
