"""i2pd and Java connect to Ramson and Ramson to them; they keep its RouterInfo and have nothing to complain of."""

from ..complaints import about
from ..outcome import Failed, eventually
from ..relay import RelayNetwork as NETWORK

_WAYS = {"in", "out"}


def run(net):
    ours = net.subjects()
    peers = {"i2pd": net.i2pds(), "java": [net.java]}
    seen = {kind: set() for kind in peers}

    def all_ways():
        for kind, routers in peers.items():
            for peer in routers:
                seen[kind] |= {way for _, way, ip in peer.sessions() if ip in (r.address for r in ours)}
        return all(ways == _WAYS for ways in seen.values())

    # Over UDP two may call each other at once, and then one call is given up. Who comes back must call: the others believe that he is there.
    if not eventually(45, all_ways):
        net.caller.kill()
        net.caller.start()
    if not eventually(60, all_ways):
        missing = ", ".join(f"{kind} {_words(_WAYS - ways)}" for kind, ways in seen.items() if ways != _WAYS)
        raise Failed(f"after 105 s no session: {missing}", *ours, net.java, net.p)
    net.free_calls()
    counts = [router.sessions_by_direction() for router in ours]
    if not all(sum(count[way] for count in counts) for way in _WAYS):
        raise Failed(f"the peers see sessions of both directions, the router itself only {counts}", *ours)

    # These were not told of it: who knows it has learnt of it from itself.
    untold = [peer for peer in [*net.i2pds(), net.java] if peer is not net.server]
    knowing = lambda: [peer for peer in untold if peer.knows(net.caller)]
    if not eventually(100, lambda: net.java in knowing() and len(knowing()) > 1, 2):
        raise Failed(f"its RouterInfo is kept only by: {', '.join(map(str, knowing()))}", net.caller, net.java, net.p)
    complaints = about(ours, [*net.i2pds(), net.java])
    if complaints:
        peers = dict.fromkeys(peer for peer, _ in complaints)
        some = "; ".join(f"{peer}: {line}" for peer, line in complaints[:3])
        raise Failed(f"{len(complaints)} complaints, such as {some}", *ours, *peers)
    counts = net.subject.sessions_by_direction()
    return f"{counts['in']} in, {counts['out']} out; RouterInfo kept by {len(knowing())} of {len(untold)} peers; no complaint"


def _words(ways):
    return " and ".join({"in": "from it", "out": "to it"}[way] for way in sorted(ways))
