"""One download through one router in one role, and what it cost that router."""

from dataclasses import dataclass

from .download import Transfer
from .outcome import Failed

_CELL_PAYLOAD = 1003  # bytes of a message that fit one tunnel cell, at most


@dataclass(frozen=True)
class Carried:
    """A download that arrived, and its price."""

    transfer: Transfer
    cpu: float  # seconds
    rss: int  # bytes, at the end

    @property
    def cpu_per_gb(self):
        """CPU seconds per 10^9 bytes of the file."""
        return self.cpu / self.transfer.size * 1e9

    def __str__(self):
        mb = self.transfer.size // 1_000_000
        return (
            f"{mb} MB intact, {self.transfer.rate:.1f} MB/s, {self.cpu_per_gb:.1f} CPU-s/GB, "
            f"RSS {self.rss / 1e6:.0f} MB"
        )


def carry(net, router, tunnel, port, role=None, involved=(), size=None):
    """Downloads from `tunnel` by the proxy at `port` and measures `router`. With a `role`, the router's own counters must
    say that the file went through it in that role: a tunnel that avoids it would prove nothing."""
    size = size or (20_000_000 if net.lab.quick else 100_000_000)
    net.warm(tunnel, port, router, *involved)
    cells, before = role and router.cells(role), router.usage()
    transfer = net.download(tunnel, port, size, router, *involved)
    after = router.usage()
    if cells is not None:
        carried = router.cells(role) - cells
        if carried < size // _CELL_PAYLOAD:
            raise Failed(f"{size} bytes arrived, but only {carried} cells as {role}", router, *involved)
    return Carried(transfer, after.cpu - before.cpu, after.rss)
