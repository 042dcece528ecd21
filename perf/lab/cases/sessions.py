"""i2pd and Java connect to Ramson and Ramson to them; they keep its RouterInfo and have nothing to complain of."""

from ..complaints import about
from ..outcome import Failed, eventually
from ..relay import RelayNetwork as NETWORK

_WAYS = {"in", "out"}


def run(net):
    net.welcome_newcomer()
    ours = net.subjects()
    peers = {"i2pd": net.i2pds(), "java": [net.java]}
    seen = {kind: set() for kind in peers}

    def all_ways():
        for kind, routers in peers.items():
            for peer in routers:
                seen[kind] |= {way for _, way, ip in peer.sessions() if ip in (r.ip for r in ours)}
        return all(ways == _WAYS for ways in seen.values())

    if not eventually(90, all_ways):
        missing = ", ".join(f"{kind} {_words(_WAYS - ways)}" for kind, ways in seen.items() if ways != _WAYS)
        raise Failed(f"after 90 s no session: {missing}", *ours, net.java, net.p)
    net.let_newcomer_be_called()
    counts = [router.sessions_by_direction() for router in ours]
    if not all(sum(count[way] for count in counts) for way in _WAYS):
        raise Failed(f"the peers see sessions of both directions, the router itself only {counts}", *ours)

    # The newcomer was known to nobody: who knows it has learnt of it from itself.
    knowing = lambda: [peer for peer in [*net.i2pds(), net.java] if peer.knows(net.newcomer)]
    if not eventually(100, lambda: net.java in knowing() and len(knowing()) > 1, 2):
        raise Failed(f"its RouterInfo is kept only by: {', '.join(map(str, knowing()))}", net.newcomer, net.java, net.p)
    complaints = [found for router in ours for found in about(router, [*net.i2pds(), net.java])]
    if complaints:
        peer, line = complaints[0]
        raise Failed(f"{len(complaints)} complaints, the first by {peer}: {line}", *ours, peer)
    counts = net.subject.sessions_by_direction()
    return f"{counts['in']} in, {counts['out']} out; RouterInfo kept by {len(knowing())} of 7 peers; no complaint"


def _words(ways):
    return " and ".join({"in": "from it", "out": "to it"}[way] for way in sorted(ways))
