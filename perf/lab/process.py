"""What the kernel counts of a process: processor time, memory, descriptors, threads; and how one ends."""

import os
import subprocess
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """One look at a process."""

    cpu: float  # seconds, user and system, of all its threads, also of those that have ended
    rss: int  # bytes resident
    fds: int
    threads: int


def usage(pid):
    """Looks at process `pid`."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status") as f:
        status = dict(line.rstrip("\n").split(":", 1) for line in f if ":" in line)
    return Usage(
        cpu=(int(fields[11]) + int(fields[12])) / _TICKS,
        rss=int(status.get("VmRSS", "0 kB").split()[0]) * 1024,
        fds=len(os.listdir(f"/proc/{pid}/fd")),
        threads=int(status["Threads"]),
    )


def end(process, patience):
    """Asks a process to end, and has it killed if it has not within so many seconds."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
