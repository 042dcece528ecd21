"""The same download with an i2pd in Ramson's place, in the same minutes, and the ratio of their CPU time."""

from statistics import median

from ..carry import carry
from ..relay import RelayNetwork as NETWORK


def run(net):
    theirs, ours = [], []
    for _ in range(1 if net.lab.quick else 3):  # in turn, so that other load on the machine meets both
        theirs.append(carry(net, net.reference, "reference", net.PLAIN, involved=(net.p, net.q)))
        ours.append(carry(net, net.subject, "participant", net.PLAIN, "participant", (net.p, net.q)))
    cost = [median(run.cpu_per_gb for run in runs) for runs in (theirs, ours)]
    rate = [median(run.transfer.rate for run in runs) for runs in (theirs, ours)]
    ratio = f"{cost[1] / cost[0]:.2f}" if cost[0] else "?"
    return (
        f"i2pd {cost[0]:.1f} CPU-s/GB at {rate[0]:.1f} MB/s, {net.subject.kind} {cost[1]:.1f} at {rate[1]:.1f}: "
        f"ratio {ratio}; RSS {theirs[-1].rss / 1e6:.0f} and {ours[-1].rss / 1e6:.0f} MB"
    )
