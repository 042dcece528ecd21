"""Peers that break every rule change nothing: the router stays up, a download goes on, and each offence is counted."""

import subprocess

from ..download import Stream
from ..host import Host
from ..outcome import Failed, Skipped, eventually
from ..relay import RelayNetwork as NETWORK
from ..router import NETWORK_ID

NEEDS_RAMSON = True
_GROWTH = 64 << 20  # bytes of memory that all modes together may leave behind
_FIRST_HOST = 100  # every mode comes from an address of its own: what one earns must not fall on the next


def run(net):
    tool, router = net.lab.hostile, net.subject
    if not tool:
        raise Skipped("no ramson-hostile is built")
    modes = subprocess.run([tool, "--list"], capture_output=True, text=True, check=True).stdout.split()
    net.warm("participant", net.PLAIN, router)
    stream = Stream(net.client.ip, net.PLAIN, net.server.name_of("participant"), net.web.file(20_000_000), pause=0.5)
    before = router.usage().rss
    complaints, highest = [], before
    try:
        for n, mode in enumerate(modes):
            complaint = _offend(net, tool, mode, _FIRST_HOST + n)
            if router.died():
                raise Failed(f"{mode}: the router ended with {router.process.poll()}", router)
            highest = max(highest, router.usage().rss)
            if not complaint and not stream.moves(30):
                complaint = "the download stands still"
            if complaint:
                complaints.append(f"{mode}: {complaint}")
    finally:
        stream.stop()
    if stream.corrupt:
        raise stream.corrupt
    if highest - before > _GROWTH:
        complaints.append(f"memory grew from {before / 1e6:.0f} to {highest / 1e6:.0f} MB")
    if complaints:
        raise Failed(f"{len(complaints)} complaints in {len(modes)} modes: " + "; ".join(complaints), router)
    return (
        f"{len(modes)} modes, {stream.bytes / 1e6:.0f} MB went on beside them ({stream.broken} downloads broken), "
        f"RSS {before / 1e6:.0f} to {highest / 1e6:.0f} MB"
    )


def _offend(net, tool, mode, n):
    """Runs one mode; returns what was wrong, or None."""
    router, host = net.subject, Host(n)
    before = router.metrics()
    command = [tool, "--target", f"{router.ip}:{router.port}", "--router-info", router.info_path()]
    command += ["--net-id", str(NETWORK_ID), "--source", host.ip, mode]
    try:
        process = host.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        output, _ = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        process.kill()
        return "it did not end in 90 s"
    finally:
        host.remove()
    if process.returncode:
        return (output.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    expected = [line.removeprefix("expect ") for line in output.splitlines() if line.startswith("expect ")]
    for series in expected:
        if not eventually(5, lambda series=series: router.metrics().of(series) > before.of(series), 0.5):
            return f"{series} did not grow"
    return None
