"""Peers that break every rule change nothing: the router stays up, a download goes on, and each offence is counted."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from ..download import Stream
from ..host import Host
from ..outcome import Failed, Skipped, eventually
from ..relay import RelayNetwork as NETWORK
from ..router import NETWORK_ID
from ..sandbox import NETWORK as NETWORK_BYTE

NEEDS_RAMSON = True
UDP = "ssu2-"  # begins the names of modes of SSU2
_GROWTH = 64 << 20  # bytes of memory that all modes together may leave behind
_FIRST_HOST = 100  # every mode comes from an address of its own: what one earns must not fall on the next


def run(net, udp=False):
    tool, router = net.lab.hostile, net.subject
    if not tool:
        raise Skipped("no ramson-hostile is built")
    modes = subprocess.run([tool, "--list"], capture_output=True, text=True, check=True).stdout.split()
    modes = [mode for mode in modes if mode.startswith(UDP) == udp]
    net.warm("participant", net.PLAIN, router)
    stream = Stream(net.client.ip, net.PLAIN, net.server.name_of("participant"), net.web.file(20_000_000), pause=0.5)
    before = router.usage().rss
    attempt = partial(_offend, net, tool, stream)
    try:
        # One after the other it is plain who has done what. In haste they come at once, and wait for their time limits
        # together.
        with ThreadPoolExecutor(8 if net.lab.quick else 1) as pool:
            results = list(pool.map(attempt, modes, range(_FIRST_HOST, _FIRST_HOST + len(modes))))
    finally:
        stream.stop()
    if stream.corrupt:
        raise stream.corrupt
    complaints = [f"{mode}: {complaint}" for mode, (complaint, _) in zip(modes, results, strict=True) if complaint]
    highest = max(rss for _, rss in results)
    if highest - before > _GROWTH:
        complaints.append(f"memory grew from {before / 1e6:.0f} to {highest / 1e6:.0f} MB")
    if complaints:
        raise Failed(f"{len(complaints)} complaints in {len(modes)} modes: " + "; ".join(complaints), router)
    return (
        f"{len(modes)} modes{'' if net.lab.quick else ', one by one'}, {stream.bytes / 1e6:.0f} MB went on beside them ({stream.broken} downloads broken), "
        f"RSS {before / 1e6:.0f} to {highest / 1e6:.0f} MB"
    )


def _offend(net, tool, stream, mode, n):
    """Runs one mode from host `n`; returns what was wrong, if anything, and the router's memory afterwards."""
    router = net.subject
    complaint = offend(router, tool, mode, n)
    if router.died():
        raise Failed(f"{mode}: the router ended with {router.process.poll()}", router)
    # In haste eight modes at once also keep the honest routers from building the next tunnel.
    if not complaint and not stream.moves(90 if net.lab.quick else 30):
        complaint = "the download stands still"
    return complaint, router.usage().rss


@contextmanager
def offender(router, tool, mode, n, ip=None):
    """The process of a mode on host `n`, which calls the router at `ip` and ends with the block."""
    host = Host(n)
    crowd = f"{NETWORK_BYTE}.{n}.0.0/16"
    # A crowd of addresses, for modes that need one; behind one neighbour, since the kernel knows a thousand at most.
    host.run(f"ip route add local {crowd} dev lo")
    router.run(f"ip route replace {crowd} via {host.ip}")
    command = [tool, "--target", f"{ip or router.ip}:{router.port}", "--router-info", router.info_path()]
    command += ["--net-id", str(NETWORK_ID), "--source", host.ip, "--pid", str(router.process.pid), mode]
    process = host.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        host.remove()
        router.run(f"ip route del {crowd}")


def offend(router, tool, mode, n, ip=None):
    """Runs one mode from host `n` against the router at `ip`; what was wrong, if anything."""
    before = router.metrics()
    with offender(router, tool, mode, n, ip) as process:
        try:
            output, _ = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            return "it did not end in 90 s"
    if process.returncode:
        return (output.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    for series in (line.removeprefix("expect ") for line in output.splitlines() if line.startswith("expect ")):
        if not eventually(5, lambda series=series: router.metrics().of(series) > before.of(series), 0.5):
            return f"{series} did not grow"
    return None
