"""Twenty client tunnels through Ramson for half an hour: memory, descriptors and threads do not grow."""

import time
from statistics import mean

from ..download import Stream
from ..i2pd import I2pd
from ..network import Network
from ..outcome import Failed, eventually
from ..subject import subject

_TUNNELS = 20
_FIRST_PORT = 4500
_SECONDS, _QUICK_SECONDS = 1800, 120
# Of the mean memory, last third against first; what an allocator may round. The filter of repeated cells is left out of
# it: it holds the cells of two tunnel lifetimes, so it is as large as it becomes only after 22 minutes.
_GROWTH, _SLACK = 1.10, 4 << 20
_SPARE = 8  # descriptors: sessions come and go
_SPARE_THREADS = 2  # of pools that start their threads when they are first needed


class NETWORK(Network):
    """Ten routers: two clients with ten proxies each, two servers, five hops, and the one under test in every path."""

    name = "soak"

    def __init__(self, lab):
        super().__init__(lab)
        self.clients = [self.add(I2pd(self, n)) for n in (1, 2)]
        self.servers = [self.add(I2pd(self, n)) for n in (3, 4)]
        self.hops = [self.add(I2pd(self, n, floodfill=n < 7)) for n in (5, 6, 7, 8, 9)]
        self.subject = self.add(subject(self, 10))

    def configure(self):
        for n, server in enumerate(self.servers):
            server.serve("web", self.web, inbound=[self.hops[n]], outbound=[self.hops[n], self.subject])
        for client, port, hop in self.paths():
            inbound, outbound = [hop, self.subject], [hop]
            if port % 4 < 2:  # half of them have it in the other direction
                inbound, outbound = outbound, inbound
            client.proxy(f"proxy-{port}", port, inbound, outbound, quantity=1)

    def paths(self):
        """Client, port and first hop of each tunnel."""
        for n in range(_TUNNELS):
            yield self.clients[n % 2], _FIRST_PORT + n, self.hops[n % len(self.hops)]


def run(net):
    router, file = net.subject, net.web.file(200_000)
    streams = [
        Stream(client.ip, port, net.servers[n // 2 % 2].name_of("web"), file, pause=3)
        for n, (client, port, _) in enumerate(net.paths())
    ]
    try:
        if not eventually(120, lambda: all(stream.whole for stream in streams)):
            idle = [_FIRST_PORT + n for n, stream in enumerate(streams) if not stream.whole]
            raise Failed(f"{len(idle)} of {_TUNNELS} tunnels carry nothing: {idle}", router, *net.clients)
        for stream in streams:  # what failed before the tunnels stood tells nothing
            stream.whole = stream.broken = 0
        samples = _watch(router, net.lab.seconds or (_QUICK_SECONDS if net.lab.quick else _SECONDS))
    finally:
        for stream in streams:
            stream.stop()
    corrupt = next((stream.corrupt for stream in streams if stream.corrupt), None)
    if corrupt:
        raise corrupt
    whole, broken = (sum(getattr(stream, what) for stream in streams) for what in ("whole", "broken"))
    return _judge(router, samples, f"{whole} downloads whole, {broken} broken")


def _watch(router, seconds):
    samples, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        if router.died():
            raise Failed(f"{router} ended with {router.process.poll()}", router)
        samples.append((router.usage(), router.filter_bytes()))
        time.sleep(2)
    return samples


def _judge(router, samples, carried):
    third = len(samples) // 3
    parts = samples[:third], samples[-third:]
    rss, own = ([mean(usage.rss - without * held for usage, held in part) for part in parts] for without in (0, 1))
    fds, threads = ([max(getattr(usage, what) for usage, _ in part) for part in parts] for what in ("fds", "threads"))
    facts = (
        f"{carried}; RSS {rss[0] / 1e6:.1f} to {rss[1] / 1e6:.1f} MB, without the filter of repeated cells "
        f"{own[0] / 1e6:.1f} to {own[1] / 1e6:.1f}, descriptors {fds[0]} to {fds[1]}, threads {threads[0]} to {threads[1]}"
    )
    if own[1] > own[0] * _GROWTH + _SLACK or fds[1] > fds[0] + _SPARE or threads[1] > threads[0] + _SPARE_THREADS:
        raise Failed(f"it grows: {facts}", router)
    return facts
