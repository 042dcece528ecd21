"""Namespaces of our own, so that nothing leaves the machine and nothing is left on it.

A test network must never meet the live one. In a fresh network namespace there is no uplink at all, which no
configuration mistake can undo; in a fresh process namespace this script is process 1, and the kernel ends every router
when it ends, however it ends.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# The beginnings of all addresses: not of the private ranges, in which i2pd sees no IPv6 and no rules by network hold. Who is
# there in the world is never met: nothing leaves these namespaces.
NETWORK = "11"
NETWORK6 = "2001:db8"
GATE = f"{NETWORK}.0.0.1"  # where this script itself can be reached by the routers

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_PR_SET_PDEATHSIG = 1


def enter(at_end=lambda: None):
    """Goes on in a child inside fresh namespaces; the parent waits for it, calls `at_end` and exits as the child did."""
    libc = ctypes.CDLL(None, use_errno=True)
    _unshare(libc)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        _wait(child, at_end)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None)
    if libc.mount(b"proc", b"/proc", b"proc", 0, None):
        sys.exit("cannot mount /proc of the new process namespace")
    for command in (
        "ip link set lo up",
        "ip link add br0 type bridge",
        f"ip addr add {GATE}/8 dev br0",
        "ip link set br0 up",
    ):
        sh(command)


def enter_in(keep, prefix):
    """The same with a folder for all that is written, which is returned: `keep`, emptied, or one that goes at the end."""
    if keep:
        work = os.path.abspath(keep)
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
    else:
        work = tempfile.mkdtemp(prefix=prefix)
    enter(at_end=lambda: keep or shutil.rmtree(work, ignore_errors=True))
    return work


def _unshare(libc):
    """Leaves the old namespaces. Without root that takes a user namespace in which we are root."""
    uid, gid = os.getuid(), os.getgid()
    flags = _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | (_CLONE_NEWUSER if uid else 0)
    if libc.unshare(flags):
        why = os.strerror(ctypes.get_errno())
        sys.exit(f"no namespaces: {why} (run as root, or allow unprivileged user namespaces)")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)


def _wait(child, at_end):
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child as well
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    at_end()
    os._exit(status & 255)


def new_namespace():
    """A process that holds a fresh network namespace, within this one."""
    holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
    ours = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{holder.pid}/ns/net") == ours:
        time.sleep(0.01)
    return holder


def sh(command):
    """Runs a command that must succeed."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")


def mac(device, namespace=None):
    """The address of a device, here or in another network namespace."""
    there = ["nsenter", "-t", str(namespace), "-n"] if namespace else []
    return json.loads(subprocess.check_output([*there, "ip", "-j", "link", "show", device]))[0]["address"]
