"""Tunnels that BOB makes at Ramson and at i2pd carry bytes both ways between the two, and every command is answered as i2pd answers it."""

import base64
import hashlib
import re
import socket
import threading

from .. import bob
from ..applications import Applications
from ..outcome import Failed, eventually

NEEDS_RAMSON = True
_LISTEN = 4610
_SIZE = 1_000_000
_OPTIONS = ("option inbound.length=2", "option outbound.length=2")

NETWORK = Applications

# What is asked of both servers, one after the other. Keys are as long; where a second answer is named, Ramson says that, on purpose.
_DIALOGUE = (
    ("nonsense", None),
    ("getdest", None),
    ("getkeys", None),
    ("quiet", None),
    ("start", None),
    ("stop", None),
    ("setnick", None),
    ("getnick nobody", None),
    ("setnick dialogue", None),
    ("setkeys AAAA", None),
    ("newkeys", None),
    ("getdest", None),
    ("getkeys", None),
    ("start", None),
    ("inhost", None),
    ("inhost not.an.address", None),
    ("inport 4619", None),
    ("inport 70000", None),
    ("start", None),
    ("inhost 127.0.0.1", None),
    ("outhost not.an.address", None),
    ("outport 9", None),
    ("start", None),
    ("outhost 127.0.0.1", None),
    ("quiet", None),
    ("option inbound.length=1", None),
    ("option nothing", None),
    ("settunneltype nothing", None),
    ("list", None),
    ("status dialogue", None),
    ("status nobody", None),
    ("start", None),
    ("start", None),
    ("quiet", None),
    ("setnick dialogue", None),
    ("getnick dialogue", None),
    ("status dialogue", None),
    ("list", None),
    ("lookup", None),
    ("lookup nobody.i2p", None),
    ("help newkeys", None),
    ("help nothing", None),
    ("stop", None),
    ("stop", None),
    ("start", None),
    ("clear", None),
    ("status dialogue", None),
    ("quit", None),
)


def run(net):
    facts = [_dialogue(net)]
    try:
        facts += [_carry(net, net.partner, net.subject, "from i2pd", 0), _carry(net, net.subject, net.partner, "to i2pd", 1)]
    except (bob.Refused, OSError) as e:
        raise Failed(str(e), net.subject, net.partner) from e
    return "; ".join(facts)


def _dialogue(net):
    said = []
    for host in (net.subject.ip, net.partner.ip):
        with eventually(60, lambda: _opened(host), 1) as end:
            said.append([end.greeting, *(re.sub(r"[A-Za-z0-9~-]{100,}=*", "KEY", end.ask(line)) for line, _ in _DIALOGUE)])
    ours, theirs = said
    wrong = [] if ours[0] == theirs[0] else [f"greeting: {ours[0]}"]
    for (line, instead), our, their in zip(_DIALOGUE, ours[1:], theirs[1:]):
        if our != (instead or their):
            wrong.append(f"{line}: Ramson says {our!r}, i2pd {their!r}")
    if wrong:
        raise Failed("; ".join(wrong), net.subject)
    return f"{len(_DIALOGUE)} commands answered alike"


def _opened(host):
    try:
        return bob.Bob(host)
    except OSError:
        return None


def _carry(net, caller, taker, way, n):
    """Bytes both ways, once with a first line of the caller's and once without, and what is asked of the network."""
    for quiet in (False, True):
        server = socket.create_server((net.web.ip, 0))
        server.settimeout(60)
        name, port = f"case{n}{quiet}", _LISTEN + 2 * n + quiet
        to = bob.serve(taker.ip, f"mouth-{name}", server.getsockname(), *_OPTIONS, *(["quiet"] if quiet else []))
        me = bob.listen(caller.ip, f"ear-{name}", port, *_OPTIONS)
        found = lambda: _asks(caller, f"ear-{name}", f"lookup {_b32(to)}") == f"OK {to}"
        if not eventually(240, found, 3):
            raise Failed(f"{way}: the LeaseSet was not found", net.subject, net.partner)
        who = _exchange(server, caller, port, to, quiet)
        if who != (None if quiet else me):
            raise Failed(f"{way}: the caller was told to be {who!r:.80}", net.subject, net.partner)
        pong = _asks(caller, f"ear-{name}", f"ping {to}")
        if caller is net.subject and not pong.startswith("OK pong from "):
            raise Failed(f"{way}: ping is answered with {pong}", net.subject)
        server.close()
        for host, nick in ((taker.ip, "mouth"), (caller.ip, "ear")):
            with bob.Bob(host) as end:
                for line in (f"getnick {nick}-{name}", "stop", "clear"):
                    end.ok(line)
    return f"{way}: {_SIZE // 1_000_000} MB each way, quiet and not"


def _b32(key):
    raw = base64.b64decode(key.translate(str.maketrans("-~", "+/")))
    return base64.b32encode(hashlib.sha256(raw).digest()).decode().lower().rstrip("=") + ".b32.i2p"


def _asks(router, nickname, line):
    with bob.Bob(router.ip) as end:
        end.ok(f"getnick {nickname}")
        return end.ask(line)


def _exchange(server, caller, port, to, quiet):
    """Sends bytes to and fro; returns whom the server was told."""
    sent = bytes(range(256)) * (_SIZE // 256)
    told = []

    def answer():
        end, _ = server.accept()
        with end, end.makefile("rb") as file:
            told.append(None if quiet else file.readline().decode().strip())
            data = file.read(len(sent))
            end.sendall(data[::-1])
            file.read(1)  # until the caller has all of it

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with bob.call(caller.ip, port, to) as end, end.makefile("rb") as file:
        end.sendall(sent)
        if file.read(len(sent)) != sent[::-1]:
            raise bob.Refused("other bytes came back")
    thread.join()
    return told[0]
